import Foundation
import LuaHost
import TestSupport
import Testing

@testable import RecoveryScripting

@Suite("Grants")
struct GrantTests {
    @Test(
        "Without its grant each power's functions name the flag that is missing",
        arguments: [
            ("exec { 'true' }", "--grant exec"), ("http.get('http://127.0.0.1/')", "--grant http"),
            ("http.post {}", "--grant http"), ("files.read('/etc/passwd')", "--grant files=FOLDER"),
            ("require('files').list()", "--grant files=FOLDER"), ("lab.site('a')", "--grant lab"),
            (
                "recovery.vault():host { name = 'x', site = 'a', uri = 'fake:///a', agent = '/a', address = 'a', store = '/p' }",
                "--grant hosts"
            ),
        ])
    func refused(call: String, flag: String) async throws {
        let granted = Set(Power.allCases.filter { !flag.contains($0.rawValue) })
        let error = try #require(try await Bench().run(call, powers: granted).error, "\(call) was not refused")
        #expect(
            error.kind == .notGranted && error.hint?.hasPrefix("run it with \(flag), which lets it ") == true,
            "\(error)")
    }

    @Test("A grant opens one power and no other")
    func one() async throws {
        let outcome = try await Bench().run(
            "local ok, e = pcall(http.get, 'http://127.0.0.1/') return exec({ 'true' }).status, ok, e.kind",
            powers: [.exec])
        #expect(outcome.values == [0, false, "not-granted"], "\(outcome)")
    }

    @Test("Names are read one by one or with commas between, and a folder to its end")
    func words() throws {
        let scratch = try Scratch()
        try scratch.folder("a,b=c")
        let path = URL(filePath: scratch.path).standardizedFileURL.path
        let grants = try Grants.reading(
            ["exec,http", "lab", "files=\(scratch.path)/./a,b=c", "hosts,files"], scriptFolder: scratch.path)
        #expect(grants.powers == Set(Power.allCases))
        #expect(
            grants.folders == [
                GrantedFolder(path: "\(path)/a,b=c", isWritable: true), GrantedFolder(path: path, isWritable: false),
            ])
        #expect(try Grants.reading([]) == Grants())
    }

    @Test(
        "What is no power, or no folder, is refused",
        arguments: [
            "exce", "", "exec,,http", "exec, http", "EXEC", "files=", "files=/no/such/folder", "files=/etc/passwd",
            "files",
        ])
    func unknown(word: String) throws {
        let error = try #require(throws: LuaError.self) { try Grants.reading([word]) }
        #expect(error.kind == .notGranted && error.hint != nil, "\(error)")
        if !word.hasPrefix("files") {
            #expect(error.hint == "this version has: exec, files=FOLDER, hosts, http, lab")
        }
    }
}
