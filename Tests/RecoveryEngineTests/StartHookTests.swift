import BlockReplication
import Foundation
import TestSupport
import Testing

@testable import RecoveryEngine

@Suite("Whether libvirt asks before it starts a VM")
struct StartHookTests {
    private func problem(in root: String, store: String, runtime: String) async throws -> String? {
        let agent = try AgentService(
            site: "a", store: store, runtime: runtime, address: "127.0.0.1:1",
            startHook: { StartHook.facts(libvirtRoot: "\(root)/libvirt", store: store, runtime: runtime) })
        let hook = try #require(try await agent.check(AgentCheck()).startHook)
        #expect(hook.path == "\(root)/libvirt/hooks/qemu.d/00-perilune" && hook.runtime == runtime)
        return hook.problem
    }

    @Test("An agent finds the hook that install-hook wrote, and what is wrong with another")
    func installed() async throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let root = scratch.path
        let (store, runtime) = ("\(root)/store of a's", "\(root)/run")
        #expect(try await problem(in: root, store: store, runtime: runtime) == "there is none")
        let hook = HookInstallation(
            libvirtRoot: "\(root)/libvirt", program: "/bin/true", store: store, runtime: runtime)
        #expect(try !hook.install())
        #expect(try await problem(in: root, store: store, runtime: runtime) == nil)
        #expect(
            try await problem(in: root, store: "\(root)/other", runtime: runtime)?.contains("another store") == true)
        #expect(try await problem(in: root, store: store, runtime: "\(root)/other")?.contains("confirmations") == true)
        if getuid() == 0 {
            // Without the right to be run it is no hook, whoever looks.
            try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: hook.path)
            #expect(try await problem(in: root, store: store, runtime: runtime) == "it may not be run")
        }
    }
}
