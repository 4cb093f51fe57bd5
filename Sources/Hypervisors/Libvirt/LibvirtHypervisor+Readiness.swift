internal import CLibvirt
internal import Foundation

extension LibvirtHypervisor {
    package func capabilities() async throws -> HypervisorCapabilities {
        try await call { connection in
            let active = try Self.activeNetworks(connection)
            let memory = virNodeGetFreeMemory(connection)
            var facts = HypervisorCapabilities(
                emulator: nil, supportsBackup: nil, activeNetworks: active,
                freeMemoryMiB: memory > 0 ? Int(clamping: memory >> 20) : nil)
            // The host's own choice of emulator, architecture and machine.
            guard let text = virConnectGetDomainCapabilities(connection, nil, nil, nil, nil, 0) else {
                let error = LibvirtLibrary.error("ask what the host's QEMU can do")
                // A host without QEMU says so here; one of another kind does not know the question.
                if error.code == .unsupported { return facts }
                throw error
            }
            defer { free(text) }
            let tree = try XMLTree(parsing: String(cString: text))
            facts.emulator = tree.child("path")?.text
            facts.supportsBackup = tree.child("features")?.child("backup").map { $0.attributes["supported"] == "yes" }
            return facts
        }
    }

    private static func activeNetworks(_ connection: OpaquePointer) throws -> Set<String> {
        var list: UnsafeMutablePointer<OpaquePointer?>?
        let count = virConnectListAllNetworks(connection, &list, VIR_CONNECT_LIST_NETWORKS_ACTIVE.rawValue)
        guard count >= 0 else {
            let error = LibvirtLibrary.error("list the host's networks")
            if LibvirtLibrary.isNumber(error, VIR_ERR_NO_SUPPORT) { return [] }
            throw error
        }
        return Set(
            takeAll(list, count, free: virNetworkFree) { network in
                virNetworkGetName(network).map { String(cString: $0) }
            })
    }

    package func readiness(uuid: String) async throws -> GuestReadiness {
        try await onDomain(uuid) { domain in
            let snapshots = virDomainSnapshotNum(domain, 0)
            return GuestReadiness(agent: try Self.guestAgent(domain), snapshots: max(0, Int(snapshots)))
        }
    }

    /// Asks the guest's agent for the time: it changes nothing, and only an agent that is alive knows it.
    private static func guestAgent(_ domain: OpaquePointer) throws -> GuestAgentState {
        let definition = try definition(domain, inactive: false)
        guard definition.hasGuestAgentChannel else { return .absent }
        guard try isActive(domain) else { return .notRunning }
        guard definition.guestAgentIsConnected else { return .silent }
        var (seconds, nanoseconds): (Int64, UInt32) = (0, 0)
        return virDomainGetTime(domain, &seconds, &nanoseconds, 0) == 0 ? .answers : .silent
    }
}
