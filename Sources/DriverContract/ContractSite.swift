package import BlockReplication
package import Hypervisors

/// Two hosts with agents, real or simulated, on which the contract is tried.
///
/// The VM runs at the source before each case, obeys its power button, and writes without end; the stubborn one ignores it.
package protocol ContractSite: Sendable {
    var source: any Hypervisor { get }
    var target: any Hypervisor { get }
    var sender: any Agent { get }
    var receiver: any Agent { get }
    /// Folders of the agents' stores.
    var sourceStore: String { get }
    var targetStore: String { get }
    var vm: VMIdentity { get }
    var stubborn: VMIdentity { get }
    /// A network that the target has.
    var targetNetwork: String { get }

    /// Kills the VM's QEMU at the source, as a crash does, and returns when the host has seen it.
    func kill() async throws
    /// Returns when the VM at the source, which runs, has written something since the call.
    func letItWrite() async throws
    /// A fresh lower-case UUID.
    func identifier() -> String
}

/// What one case found that is not as it must be.
package struct ContractBroken: Error, CustomStringConvertible {
    package let what: String

    package var description: String { what }
}

/// Says that something must be so.
func require(_ holds: Bool, _ what: @autoclosure () -> String) throws {
    guard holds else { throw ContractBroken(what: what()) }
}

/// Says that two values must be the same.
func require<Value: Equatable>(_ what: String, _ found: Value, _ wanted: Value) throws {
    guard found == wanted else { throw ContractBroken(what: "\(what): \(found), and not \(wanted)") }
}

/// Says that a call to a hypervisor is refused for this reason.
func refused(
    _ code: HypervisorError.Code, _ what: String, _ body: () async throws -> Void
) async throws {
    do {
        try await body()
    } catch let error as HypervisorError {
        try require(error.code == code, "\(what) is refused as \(error.code), and not \(code): \(error.message)")
        try require(error.hint?.isEmpty == false, "\(what) is refused without a hint")
        return
    }
    throw ContractBroken(what: "\(what) is not refused")
}

/// Says that a call to an agent is refused for this reason.
func declined(_ code: ReplicationError.Code, _ what: String, _ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch let error as ReplicationError {
        try require(error.code == code, "\(what) is refused as \(error.code), and not \(code): \(error.message)")
        return
    }
    throw ContractBroken(what: "\(what) is not refused")
}

extension ContractSite {
    func power() async throws -> PowerState? { try await source.domain(uuid: vm.uuid)?.power }

    /// The VM runs at the source, with no backup open and none of the case's checkpoints.
    package func tidyUp() async throws {
        try await source.start(uuid: vm.uuid, paused: false)
        try await source.resume(uuid: vm.uuid)
        try await source.endBackup(uuid: vm.uuid)
        for name in try await source.checkpoints(uuid: vm.uuid).reversed() {
            do {
                try await source.deleteCheckpoint(uuid: vm.uuid, name: name, metadataOnly: false)
            } catch {
                try await source.deleteCheckpoint(uuid: vm.uuid, name: name, metadataOnly: true)
            }
        }
    }

    /// Shuts the VM down in good order.
    func powerOff() async throws {
        try require(
            try await source.shutDown(uuid: vm.uuid, limit: .seconds(90)), "the VM does not obey its power button")
    }

    /// Names of the disks that the guest writes, with their sizes and files.
    func disks() async throws -> [(target: String, size: UInt64, path: String)] {
        let domain = try await source.domain(uuid: vm.uuid)
        return (domain?.disks ?? []).filter { !$0.isReadOnly }.compactMap { disk in
            disk.size.flatMap { size in disk.path.map { (disk.target, size, $0) } }
        }
    }
}
