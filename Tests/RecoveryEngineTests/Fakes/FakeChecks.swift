import BlockReplication
import Hypervisors
import SiteModel
import Synchronization

/// What is asked of a host by inspections alone.
struct FakeChecks: Sendable {
    var libvirt = "9.0.0"
    var qemu = "7.2.0"
    var emulator: String? = "/usr/bin/qemu"
    /// Networks that are defined and not started.
    var stoppedNetworks: Set<String> = []
    var guestAgent = GuestAgentState.answers
    /// What the agent finds wrong with libvirt's start hook.
    var hookProblem: String?
    var snapshots = 0
    /// Seconds by which the host's clock is ahead.
    var clockAhead = 0.0
    /// The host's own when nil.
    var storeID: String?
    var writeFailure: String?
    /// The agent is older than the call.
    var agentIsOld = false
    /// Ports that a firewall drops.
    var droppedPorts: Set<UInt16> = []
    /// qcow2 versions of files that are not of version 3.
    var imageVersions: [String: Int] = [:]
}

extension FakeHypervisor {
    func capabilities() async throws -> HypervisorCapabilities {
        try fuse.checkAlive()
        return try world.state.withLock { state in
            let host = try state.host(self.host)
            return HypervisorCapabilities(
                emulator: host.checks.emulator, supportsBackup: true,
                activeNetworks: host.networks.subtracting(host.checks.stoppedNetworks), freeMemoryMiB: 4096)
        }
    }

    func readiness(uuid: String) async throws -> GuestReadiness {
        try fuse.checkAlive()
        return try world.state.withLock { state in
            let checks = try state.host(host).checks
            return GuestReadiness(agent: checks.guestAgent, snapshots: checks.snapshots)
        }
    }
}

extension FakeAgent {
    func check(_ request: AgentCheck) async throws -> AgentCheckAnswer {
        try fuse.checkAlive()
        let now = world.clock.now
        return try world.state.withLock { state in
            let host = try state.agentHost(self.host)
            let checks = host.checks
            if checks.agentIsOld {
                throw ReplicationError(.unsupported, "this agent knows no call 'check'", hint: "upgrade it")
            }
            let free = UInt64(host.freeBlocks) * blockSize
            return AgentCheckAnswer(
                time: now.advanced(bySeconds: checks.clockAhead), dataAddress: self.host,
                storeID: checks.storeID ?? self.host,
                store: FolderFacts(
                    path: "/store", freeBytes: free, totalBytes: free, fileSystem: "ext4",
                    writeFailure: checks.writeFailure),
                images: request.images.map { path in
                    host.files[path] == nil
                        ? ImageFacts(path: path, version: nil, failure: "no such file")
                        : ImageFacts(path: path, version: checks.imageVersions[path] ?? 3, allocatedBytes: 1 << 20)
                }, programs: request.programs.map { ProgramFacts(name: $0, path: "/usr/bin/" + $0) },
                endpoints: request.endpoints.map { probe in
                    checks.droppedPorts.contains(probe.port)
                        ? EndpointOutcome(failure: EndpointFailure(.timedOut, "no answer from port \(probe.port)"))
                        : EndpointOutcome(addresses: ["192.0.2.1"], connectedTo: "192.0.2.1")
                },
                startHook: StartHookFacts(
                    path: "/etc/libvirt/hooks/qemu.d/00-perilune", runtime: "/run/perilune",
                    problem: checks.hookProblem),
                security: SecurityFacts(isEncrypted: false, isLocal: true))
        }
    }
}
