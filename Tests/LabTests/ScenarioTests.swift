import Foundation
import Glibc
import Lab
import Testing

/// The scenario that the project is about, run as a user runs it.
@Suite("The single-server scenario, with real guests", .serialized, .enabled(if: mayMakeLabs, "the lab needs root"))
struct ScenarioTests {
    @Test("examples/single-server.lua fails two sites over and back, and every guest vouches for its data")
    func singleServer() async throws {
        try await withLab("scenario", agentProgram: builtProgram, siteBytes: 4 << 30) { lab in
            let vault = "\(lab.configuration.root)/vault/vault.db"
            try await timed("lab up with three guests") {
                try await lab.up()
                try await lab.createGuests()
            }
            try output(of: [builtProgram, "vault", "create", "--vault", vault])
            let printed = try await timed("examples/single-server.lua") {
                try output(of: [
                    builtProgram, "run", projectFile("examples/single-server.lua"), "--vault", vault, "--grant", "lab",
                    "--lab-root", lab.configuration.root,
                ])
            }
            print(printed)
            let status = try output(of: [builtProgram, "status", "--vault", vault])
            #expect(status.contains("vmm01") && status.contains("orders") && status.contains("web"))
            for line in status.split(separator: "\n").dropFirst() {
                #expect(line.contains("protected") && line.contains("host-a -> host-b"), "back where it began: \(line)")
            }
        }
    }
}

/// A file of the project, found from this source file.
func projectFile(_ path: String) -> String {
    URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: path).path
}
