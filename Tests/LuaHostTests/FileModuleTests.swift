import Foundation
import LuaHost
import Testing

@Suite struct FileModuleTests {
    /// Two folders and a file beside them, removed at the end.
    final class Folders {
        let root: URL
        init(_ files: [String: String]) throws {
            root = FileManager.default.temporaryDirectory.appendingPathComponent("lua-\(UUID().uuidString)")
            for (path, text) in files {
                let file = root.appendingPathComponent(path)
                try FileManager.default.createDirectory(
                    at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
                try Data(text.utf8).write(to: file)
            }
        }
        deinit { try? FileManager.default.removeItem(at: root) }
        func resolver() -> FileModuleResolver {
            FileModuleResolver(folders: ["own", "library"].map { root.appendingPathComponent($0).path })
        }
    }

    @Test func theScriptsOwnTreeComesFirst() async throws {
        let folders = try Folders([
            "own/waves.lua": "return 'own'", "library/waves.lua": "return 'library'",
            "library/health/tcp.lua": "return 'tcp'", "library/lab/init.lua": "return 'lab'",
        ])
        let fixture = try Fixture { $0.resolver = folders.resolver() }
        let results = try await fixture.run("return require 'waves', require 'health.tcp', require 'lab'")
        #expect(results == ["own", "tcp", "lab"])
    }

    @Test func nothingAboveTheFoldersIsFound() async throws {
        let folders = try Folders(["own/a.lua": "return 1", "secret.lua": "return 'secret'"])
        try FileManager.default.createSymbolicLink(
            at: folders.root.appendingPathComponent("own/link.lua"),
            withDestinationURL: folders.root.appendingPathComponent("secret.lua"))
        let fixture = try Fixture { $0.resolver = folders.resolver() }
        for name in ["link", "../secret", "/etc/passwd", "secret", "a.", ".a", "a\\0b"] {
            _ = try await fixture.failure("return require '\(name)'")
        }
        #expect(try await fixture.failure("require 'link'").message.contains("leads out of"))
    }

    @Test func positionsNameTheFile() async throws {
        let folders = try Folders(["own/bad.lua": "\n\nerror('here')"])
        let fixture = try Fixture { $0.resolver = folders.resolver() }
        let error = try await fixture.failure("require 'bad'")
        #expect(error.where?.chunk.hasSuffix("own/bad.lua") == true)
        #expect(error.where?.line == 3)
    }
}
