// What `perilune doctor` asks of a hypervisor, beyond its inventory.

/// What a host can do.
package struct HypervisorCapabilities: Hashable, Sendable {
    /// Path of the program that runs VMs.
    package var emulator: String?
    /// Whether libvirt says that it can make incremental backups with this emulator; nil when it does not say.
    package var supportsBackup: Bool?
    /// Names of the networks that are up.
    package var activeNetworks: Set<String>
    package var freeMemoryMiB: Int?

    package init(
        emulator: String?, supportsBackup: Bool?, activeNetworks: Set<String>, freeMemoryMiB: Int? = nil
    ) {
        self.emulator = emulator
        self.supportsBackup = supportsBackup
        self.activeNetworks = activeNetworks
        self.freeMemoryMiB = freeMemoryMiB
    }
}

/// Whether a guest's agent can be asked to freeze file systems and to set addresses.
package enum GuestAgentState: String, Hashable, Sendable, Codable {
    /// The VM has no channel for one.
    case absent
    /// There is a channel, and nobody answers.
    case silent
    case answers
    /// There is a channel; the VM is not running.
    case notRunning = "not-running"
}

/// What stands in the way of tracking a VM's changes.
package struct GuestReadiness: Hashable, Sendable {
    package var agent: GuestAgentState
    /// libvirt's own snapshots of the VM: it makes no checkpoint beside them.
    package var snapshots: Int

    package init(agent: GuestAgentState, snapshots: Int) {
        self.agent = agent
        self.snapshots = snapshots
    }
}

extension Hypervisor {
    /// What a driver without the call says.
    package func capabilities() async throws -> HypervisorCapabilities {
        throw HypervisorError(
            .unsupported, "this kind of host does not say what it can do", hint: "nothing is known to be missing")
    }

    package func readiness(uuid: String) async throws -> GuestReadiness {
        throw HypervisorError(
            .unsupported, "this kind of host does not say how ready its VMs are",
            hint: "nothing is known to be missing")
    }
}

extension DomainDefinition {
    /// Targets of disks with an encryption of their own.
    package var encryptedDisks: [String] {
        devices("disk").filter { $0.child("encryption") != nil || $0.child("source")?.child("encryption") != nil }
            .compactMap { $0.child("target")?.attributes["dev"] }
    }

    /// What of the host the guest has in its own hands, in words: its state is in no disk.
    package var passedThrough: [String] {
        let hardware = devices("hostdev").map { "a host device (\($0.attributes["type"] ?? "unknown kind"))" }
        let folders = devices("filesystem").map { folder in
            "a folder of the host (\(folder.child("target")?.attributes["dir"] ?? "unnamed"))"
        }
        let memories = devices("memory").filter { $0.attributes["model"] == "nvdimm" }.map { _ in "an NVDIMM" }
        let luns = disks.filter { $0.device == "lun" }.map { "a SCSI device (\($0.target))" }
        return hardware + folders + memories + luns
    }

    /// Whether there is a channel for a guest agent.
    package var hasGuestAgentChannel: Bool { guestAgentChannel != nil }

    /// Whether something in the guest has the channel open; false also when the VM is not running.
    var guestAgentIsConnected: Bool { guestAgentChannel?.attributes["state"] == "connected" }

    private var guestAgentChannel: XMLTree? {
        devices("channel").compactMap { $0.child("target") }
            .first { $0.attributes["name"] == "org.qemu.guest_agent.0" }
    }

    /// The machine type, such as "pc-i440fx-7.2": the target's QEMU must have it.
    package var machine: String? { tree.child("os")?.child("type")?.attributes["machine"] }

    private func devices(_ name: String) -> [XMLTree] { tree.child("devices")?.children(name) ?? [] }
}
