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
                    builtProgram, "run", projectFile("examples/single-server.lua"), "--vault", vault, "--grant",
                    "hosts", "--grant", "lab",
                    "--lab-root", lab.configuration.root,
                ])
            }
            print(printed)
            let status = try output(of: [builtProgram, "status", "--json", "--vault", vault])
            let rows = try JSONDecoder().decode([Row].self, from: Data(status.utf8))
            #expect(rows.map(\.vm) == ["orders", "vmm01", "web"])
            for row in rows {
                // Back where it began.
                #expect(row.state == "protected" && row.owner == "host-a" && row.target == "host-b", "\(row)")
            }
        }
    }
}

/// What `status --json` says of a VM, as far as it is looked at here.
private struct Row: Decodable {
    var vm: String
    var state: String
    var owner: String
    var target: String
}

/// A file of the project, found from this source file.
func projectFile(_ path: String) -> String {
    URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: path).path
}
