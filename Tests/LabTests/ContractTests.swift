import BlockReplication
import DriverContract
import Foundation
import Glibc
import Hypervisors
import Lab
import RecoveryEngine
import SiteModel
import Testing

/// The drivers' contract, on libvirt, QEMU and agents; the simulated site is held to the same cases.
@Suite("The drivers' contract, with real guests", .serialized, .enabled(if: mayMakeLabs, "the lab needs root"))
struct ContractTests {
    @Test("Every case of the contract holds on real hosts")
    func contract() async throws {
        let willing = LabGuest(name: "willing", address: "10.77.0.11", disks: 2)
        let stubborn = LabGuest(name: "stubborn", address: "10.77.0.12", ignoresPowerButton: true)
        try await RecoveryLab.with("contract", guests: [willing, stubborn]) { lab in
            for guest in [willing, stubborn] {
                _ = try await report(from: guest.address, in: lab.lab, within: .seconds(60)) { $0.records > 0 }
            }
            let site = try await LabContractSite(lab, willing, stubborn)
            for contract in DriverContract.cases {
                do {
                    try await timed(contract.name) { try await contract.tryOut(on: site) }
                } catch {
                    Issue.record("\(contract.name): \(error)")
                }
            }
        }
    }
}

private struct LabContractSite: ContractSite {
    let lab: RecoveryLab
    let guest: LabGuest
    let source: any Hypervisor
    let target: any Hypervisor
    let sender: any Agent
    let receiver: any Agent
    let vm: VMIdentity
    let stubborn: VMIdentity
    let targetNetwork = "silver-net"

    init(_ lab: RecoveryLab, _ willing: LabGuest, _ stubborn: LabGuest) async throws {
        self.lab = lab
        guest = willing
        source = try await lab.engine.hosts.hypervisor(lab.hostA.id)
        target = try await lab.engine.hosts.hypervisor(lab.hostB.id)
        sender = try await lab.engine.hosts.agent(lab.hostA.id)
        receiver = try await lab.engine.hosts.agent(lab.hostB.id)
        vm = try await Self.identity(willing, at: source)
        self.stubborn = try await Self.identity(stubborn, at: source)
    }

    private static func identity(_ guest: LabGuest, at host: any Hypervisor) async throws -> VMIdentity {
        let domain = try #require(try await host.domain(named: guest.name))
        return VMIdentity(name: domain.name, uuid: domain.uuid)
    }

    var sourceStore: String { lab.hostA.store }
    var targetStore: String { lab.hostB.store }

    func kill() async throws {
        let text = try lab.run(at: .a, ["cat", "/run/libvirt/qemu/\(vm.name).pid"])
        let process = try #require(pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)), "\(text)")
        Glibc.kill(process, SIGKILL)
        try await until("libvirt sees that QEMU is gone") {
            try await source.domain(uuid: vm.uuid)?.power.isActive == false
        }
    }

    func letItWrite() async throws {
        // It may still be booting: it is asked until it answers.
        let before = try await lab.answer(of: guest, at: .a) { _ in true }
        _ = try await lab.answer(of: guest, at: .a) { $0.records > before.records }
    }

    func identifier() -> String { UUID().uuidString.lowercased() }
}
