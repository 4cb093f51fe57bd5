import BlockReplication
import Foundation
import Testing

@testable import RecoveryEngine

@Suite("Whether libvirt asks before it starts a VM")
struct StartHookTests {
    private let root = FileManager.default.temporaryDirectory.appending(path: "start-hook-\(UUID().uuidString)").path

    private func problem(store: String, runtime: String) async throws -> String? {
        let agent = try AgentService(
            site: "a", store: store, runtime: runtime, libvirtRoot: "\(root)/libvirt", address: "127.0.0.1:1")
        let hook = try #require(try await agent.check(AgentCheck()).startHook)
        #expect(hook.path == "\(root)/libvirt/hooks/qemu.d/00-perilune" && hook.runtime == runtime)
        return hook.problem
    }

    @Test("An agent finds the hook that install-hook wrote, and what is wrong with another")
    func installed() async throws {
        defer { try? FileManager.default.removeItem(atPath: root) }
        let (store, runtime) = ("\(root)/store of a's", "\(root)/run")
        #expect(try await problem(store: store, runtime: runtime) == "there is none")
        let hook = HookInstallation(
            libvirtRoot: "\(root)/libvirt", program: "/bin/true", store: store, runtime: runtime)
        #expect(try !hook.install())
        #expect(try await problem(store: store, runtime: runtime) == nil)
        #expect(try await problem(store: "\(root)/other", runtime: runtime)?.contains("another store") == true)
        #expect(try await problem(store: store, runtime: "\(root)/other")?.contains("confirmations") == true)
        if getuid() == 0 {
            // Without the right to be run it is no hook, whoever looks.
            try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: hook.path)
            #expect(try await problem(store: store, runtime: runtime) == "it may not be run")
        }
    }
}
