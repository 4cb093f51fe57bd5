import Foundation
import Glibc
import LuaHost
import TestSupport
import Testing

@testable import RecoveryScripting

@Suite("files", .timeLimit(.minutes(5)))
struct FilesTests {
    private let scratch: Scratch
    private let bench = Bench()

    /// A granted folder `in`, and beside it what must not be touched.
    init() throws {
        scratch = try Scratch()
        try scratch.folder("in/sub")
        try scratch.folder("out")
        try scratch.put("outside", at: "out/secret")
    }

    private func run(_ text: String, isWritable: Bool = true, arguments: [String] = []) async throws -> RunOutcome {
        try await bench.run(
            text, powers: [.files], folders: [GrantedFolder(path: scratch("in"), isWritable: isWritable)],
            arguments: arguments)
    }

    @Test("What is written is read back byte for byte, listed, and gone when it is removed")
    func roundTrip() async throws {
        let outcome = try await run(
            """
            local all = {}
            for i = 0, 255 do all[#all + 1] = string.char(i) end
            local bytes = table.concat(all)
            files.write("sub/data", bytes)
            files.append("sub/data", "more")
            assert(files.read("sub/data") == bytes .. "more")
            files.append("new", "x")
            local listed = {}
            for _, e in ipairs(files.list()) do listed[#listed + 1] = e.name .. " " .. e.kind end
            local size = files.list("sub")[1].size
            assert(files.exists("sub") and files.exists("sub/data") and not files.exists("sub/data/x"))
            files.remove("sub/data")
            files.remove("sub")
            return table.concat(listed, ", "), size, files.exists("sub"), files.exists("none/of/it")
            """)
        #expect(outcome.values == ["new file, sub folder", 260, false, false], "\(outcome)")
    }

    @Test("A new file is for its owner alone; one that is written anew keeps its rights")
    func rights() async throws {
        try scratch.put("old", at: "in/old")
        chmod(scratch("in/old"), 0o640)
        let outcome = try await run("files.write('new', 'x') files.append('added', 'x') files.write('old', 'x')")
        #expect(outcome.error == nil, "\(outcome)")
        func rights(_ name: String) -> mode_t {
            var status = stat()
            stat(scratch(name), &status)
            return status.st_mode & 0o777
        }
        #expect(rights("in/new") == 0o600 && rights("in/added") == 0o600 && rights("in/old") == 0o640)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: scratch("in")).sorted() == [
                "added", "new", "old", "sub",
            ])
    }

    @Test("A link within the folder is followed, and a link itself can be removed")
    func linksWithin() async throws {
        try scratch.put("inside", at: "in/sub/file")
        try scratch.link("in/link", to: "sub/file")
        try scratch.link("in/sub/up", to: "../sub/../link")
        try scratch.link("in/folder", to: "./sub")
        let outcome = try await run(
            """
            assert(files.read("link") == "inside" and files.read("sub/up") == "inside")
            assert(files.read("folder/../link") == "inside" and #files.list("folder") == 2)
            files.write("sub/up", "changed")
            files.remove("link")
            return files.read("folder/file"), files.exists("sub/up")
            """)
        #expect(outcome.values == ["changed", false], "\(outcome)")
        #expect(scratch.text("in/sub/file") == "changed")
    }

    @Test(
        "Nothing leads out of the folder",
        arguments: [
            "../out/secret", "..", "sub/../../out/secret", "./sub/.././../out/secret", "absolute", "relative",
            "far/secret",
            "deep/secret", "sub/chain", "/etc/passwd", "OUT/secret", "IN/../out/secret", "IN-beside/secret", "circle",
        ])
    func escapes(path: String) async throws {
        try scratch.folder("in-beside")
        try scratch.put("outside", at: "in-beside/secret")
        try scratch.link("in/absolute", to: scratch("out/secret"))
        try scratch.link("in/relative", to: "../out/secret")
        try scratch.link("in/far", to: scratch("out"))
        try scratch.link("in/deep", to: "sub/../../out")
        try scratch.link("in/sub/chain", to: "../relative")
        try scratch.link("in/circle", to: "circle")
        let path = path.replacing("IN", with: scratch("in")).replacing("OUT", with: scratch("out"))
        for call in [
            "read(p)", "write(p, 'x')", "append(p, 'x')", "list(p)", "exists(p)", "remove(p .. '/')",
            "remove(p .. '/x')",
        ] {
            // The end of a path that is to be removed is not followed: there the link itself is meant.
            if call == "remove(p .. '/')", !path.hasPrefix("/"), !path.contains("..") { continue }
            let outcome = try await run("local p = ... files.\(call)", arguments: [path])
            #expect(outcome.error?.kind == .notGranted, "\(call) \(path): \(outcome)")
            #expect(outcome.error?.hint != nil)
        }
        #expect(scratch.text("out/secret") == "outside" && scratch.text("in-beside/secret") == "outside")
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch("out")) == ["secret"])
    }

    @Test("A folder that becomes a link while it is walked through does not lead out")
    func exchanged() async throws {
        let (inside, outside, path) = (scratch("in/turn"), scratch("in/away"), scratch("in"))
        try scratch.folder("in/turn")
        try scratch.put("inside", at: "in/turn/secret")
        try scratch.link("in/away", to: "../out")
        let turning = Task.detached {
            while !Task.isCancelled {
                rename(inside, "\(path)/swap")
                rename(outside, inside)
                rename(inside, outside)
                rename("\(path)/swap", inside)
            }
        }
        defer { turning.cancel() }
        let outcome = try await run(
            """
            local seen = {}
            for i = 1, 2000 do
              local ok, text = pcall(files.read, "turn/secret")
              seen[ok and text or text.kind] = true
            end
            return seen.outside, seen.inside
            """)
        #expect(outcome.values == [.nil, true], "\(outcome)")
    }

    @Test("A folder that may only be read is not written to")
    func readOnly() async throws {
        try scratch.put("inside", at: "in/file")
        for call in ["write('file', 'x')", "append('file', 'x')", "remove('file')", "write('new', 'x')"] {
            let outcome = try await run("files.\(call)", isWritable: false)
            #expect(outcome.error?.kind == .notGranted, "\(outcome)")
        }
        #expect(try await run("return files.read('file')", isWritable: false).values == ["inside"])
    }

    @Test("Of several folders the first takes paths that are not absolute, and each what lies beneath it")
    func several() async throws {
        let outcome = try await bench.run(
            """
            local first, second = ...
            files.write("note", "1")
            files.write(second .. "/note", "2")
            return files.read(first .. "/note"), files.read(second .. "/./note"), files.exists(second .. "/")
            """, powers: [.files],
            folders: [
                GrantedFolder(path: scratch("in/sub"), isWritable: true),
                GrantedFolder(path: scratch("in"), isWritable: true),
            ], arguments: [scratch("in/sub"), scratch("in")])
        #expect(outcome.values == ["1", "2", true], "\(outcome)")
        #expect(scratch.text("in/sub/note") == "1" && scratch.text("in/note") == "2")
    }

    @Test("Pipes, devices and folders are no files to be read or written")
    func specialFiles() async throws {
        mkfifo(scratch("in/pipe"), 0o600)
        for call in [
            "read('pipe')", "write('pipe', 'x')", "append('pipe', 'x')", "read('sub')", "write('sub', 'x')",
            "write('.', 'x')", "list('pipe')", "remove('.')",
        ] {
            let outcome = try await run("files.\(call)")
            #expect(outcome.error?.kind == "failed", "\(call): \(outcome)")
        }
    }

    @Test("64 MiB are read, and not a byte more")
    func size() async throws {
        for (name, size) in [("whole", 64 << 20), ("huge", (64 << 20) + 1), ("endless", 1 << 40)] {
            #expect(FileManager.default.createFile(atPath: scratch("in/\(name)"), contents: nil))
            truncate(scratch("in/\(name)"), size)
        }
        let outcome = try await run(
            """
            local _, huge = pcall(files.read, "huge")
            local _, endless = pcall(files.read, "endless")
            return huge.kind, endless.kind, #files.read("whole")
            """)
        #expect(outcome.values == ["size", "size", 67_108_864], "\(outcome)")
    }

    @Test(
        "What is missing or misused is told",
        arguments: [
            ("read('none')", "not-found"), ("read('none/of/it')", "not-found"), ("remove('none')", "not-found"),
            ("list('none')", "not-found"), ("write('none/of/it', 'x')", "not-found"), ("read('')", "argument"),
            ("read('a\\0b')", "argument"), ("write('a\\0b', 'x')", "argument"), ("read(('x'):rep(5000))", "argument"),
            ("read(('x'):rep(300))", "failed"), ("read('\\xff')", "argument"), ("read()", "argument"),
            ("write('a')", "argument"), ("write('a', 7)", "argument"), ("write('a', {})", "argument"),
            ("read('file/x')", "failed"), ("remove('sub')", "failed"),
        ])
    func misuse(call: String, kind: String) async throws {
        try scratch.put("inside", at: "in/file")
        try scratch.put("inside", at: "in/sub/file")
        let outcome = try await run("files.\(call)")
        #expect(outcome.error?.kind.rawValue == kind, "\(outcome)")
    }
}
