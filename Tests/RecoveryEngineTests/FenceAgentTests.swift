import Foundation
import RecoveryEngine
import SiteModel
import TestSupport
import Testing

/// Fence agents of the fence-agents package, by their protocol: options on standard input, status 2 for off.
@Suite("Verdicts of a fence agent")
struct FenceAgentTests {
    /// An agent that keeps what it was told, and answers `status` with a status of the test's choice.
    private func withAgent(
        off: Int = 0, status: Int, _ body: (String, String) async throws -> Void
    ) async throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let log = scratch("log")
        let script = """
            #!/bin/sh
            told=$(cat)
            printf '%s|%s\\n' "$#" "$told" | tr '\\n' ' ' >>\(log)
            case "$told" in *action=status*) exit \(status) ;; *action=off*) exit \(off) ;; esac
            exit 1
            """
        try scratch.put(script, at: "fence_fake", permissions: 0o755)
        try await body(scratch.path, log)
    }

    private func host(_ agent: FenceAgent) -> SiteModel.Host {
        SiteModel.Host(
            id: "a", name: "a", site: "a", uri: "", agentSocket: "", agentAddress: "", store: "", fenceAgent: agent)
    }

    @Test("Its word that the host is off is proof, and it is told its options on standard input, the secret among them")
    func proof() async throws {
        try await withAgent(status: 2) { folder, log in
            let secret = "\(folder)/secret"
            try "hush\nnot this\n".write(toFile: secret, atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: secret)
            let agent = FenceAgent(
                agent: "fence_fake", options: ["ip": "10.0.0.9", "plug": "two words"], secrets: ["password": secret])
            #expect(await CommandFencing(agentFolders: [folder]).fence(host(agent)) == .proven)
            let told = try String(contentsOfFile: log, encoding: .utf8)
            #expect(told.contains("0|ip=10.0.0.9 password=hush plug=two words action=off"))
            #expect(told.contains("0|ip=10.0.0.9 password=hush plug=two words action=status"))
        }
    }

    @Test(
        "Anything else leaves the host unknown: still on, no answer, or an `off` that claims success alone",
        arguments: [0, 1, 3])
    func noProof(status: Int) async throws {
        try await withAgent(status: status) { folder, _ in
            let agent = FenceAgent(agent: "fence_fake", options: ["ip": "10.0.0.9"])
            #expect(await CommandFencing(agentFolders: [folder]).fence(host(agent)).verdict == .unknown)
        }
    }

    @Test("An `off` that complains is no matter when the host is off")
    func complaining() async throws {
        try await withAgent(off: 1, status: 2) { folder, _ in
            #expect(
                await CommandFencing(agentFolders: [folder]).fence(host(FenceAgent(agent: "fence_fake"))) == .proven)
        }
    }

    @Test("A secret that others may read, or that is not there, is not used", arguments: [0o644, 0o640, nil])
    func openSecret(mode: Int?) async throws {
        try await withAgent(status: 2) { folder, log in
            let secret = "\(folder)/secret"
            if let mode {
                try "hush\n".write(toFile: secret, atomically: true, encoding: .utf8)
                try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: secret)
            }
            let agent = FenceAgent(agent: "fence_fake", secrets: ["password": secret])
            #expect(await CommandFencing(agentFolders: [folder]).fence(host(agent)).verdict == .unknown)
            #expect(!FileManager.default.fileExists(atPath: log), "it was not run at all")
        }
    }

    @Test(
        "What is wrong with a fence agent is said before it is kept",
        arguments: [
            (FenceAgent(agent: "rm"), "no name of a fence agent"),
            (FenceAgent(agent: "fence_../x"), "no name of a fence agent"),
            (FenceAgent(agent: "fence_virsh", options: ["password": "hush"]), "is secret"),
            (FenceAgent(agent: "fence_virsh", options: ["action": "on"]), "action is not given"),
            (FenceAgent(agent: "fence_virsh", options: ["ip": "x\naction=on"]), "more than one line"),
            (FenceAgent(agent: "fence_virsh", secrets: ["password": "secret"]), "no absolute path"),
            (FenceAgent(agent: "fence_virsh", options: ["i p": "x"]), "no name of an option"),
        ])
    func faults(agent: FenceAgent, fault: String) {
        #expect(agent.fault?.contains(fault) == true, "\(agent.fault ?? "none")")
    }
}
