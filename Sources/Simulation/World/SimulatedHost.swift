package import BlockReplication
import Hypervisors

/// How quick a host is; defaults are those of a small machine with one SSD.
package struct HostSpeeds: Hashable, Sendable {
    /// Bytes a second from and to the disks.
    package var readBytesPerSecond = 1e9
    package var writeBytesPerSecond = 5e8
    /// Seconds of an answer that only looks something up.
    package var look = 0.001
    /// Seconds to change a definition, start a VM, and to begin or end a checkpoint or a backup of one disk.
    package var define = 0.02
    package var start = 0.3
    package var checkpoint = 0.015
    /// Seconds until a fence has done its work.
    package var fence = 2.0

    package init() {}
}

/// What a fence of this host comes to.
package enum FenceBehaviour: String, Hashable, Sendable, CaseIterable {
    case works
    /// It does nothing, and says so.
    case fails
    /// It ends the guests; the host goes on answering.
    case endsGuests = "ends guests"
}

/// A hypervisor host with the agent beside it.
package struct SimulatedHost: Sendable {
    package var name: String
    package var site: String
    package var cluster: String?
    package var store: String
    package var isUp = true
    /// The engine cannot reach it, and what runs there runs on.
    package var isCutOff = false
    package var networks: Set<String>
    /// Networks that were made for tests, by name.
    var madeNetworks: [String: NetworkDefinition] = [:]
    /// Bytes of its file system.
    package var capacity: UInt64
    /// Bytes taken by files that nobody here accounts for.
    package var ballast: UInt64 = 0
    package var speeds = HostSpeeds()
    package var fence = FenceBehaviour.works
    package var domains: [String: SimulatedDomain] = [:]
    package private(set) var files: [String: SimulatedFile] = [:]
    package private(set) var allocated: UInt64 = 0
    package var stores: [String: SimulatedStore] = [:]
    /// What guests are told at boot, by path of the CD image.
    package var seeds: [String: GuestSeed] = [:]
    /// What VMs keep outside their disks, by UUID.
    package var firmware: [String: FirmwareState] = [:]
    /// Programs that are not installed.
    package var missingPrograms: Set<String> = []
    /// Open backups by the VM's UUID.
    package var backups: [String: SimulatedBackup] = [:]
    package var ownership: [String: OwnershipRecord] = [:]
    /// Relationships whose record was confirmed since the host's last boot.
    package var confirmed: Set<String> = []
    /// The vaults that have asked, by their ids, each as it last stood.
    package var vaults: [String: VaultStanding] = [:]
    /// Copies of vaults that are kept here, by the vaults' ids; a draft ends in `.part`.
    package var vaultCopies: [String: VaultCopyBytes] = [:]
    /// The vault's id of this host, once an engine has connected to it.
    package var vaultID: String?
    /// Transfers under way from or to this host.
    package var transfers = 0

    package init(name: String, site: String, store: String, capacity: UInt64, networks: Set<String>) {
        self.name = name
        self.site = site
        self.store = store
        self.capacity = capacity
        self.networks = networks
    }

    package var answers: Bool { isUp && !isCutOff }

    /// Address at which its agent receives points.
    package var address: String { "\(name):7707" }

    package var freeBytes: UInt64 {
        let scratch = backups.values.reduce(0) { $0 + $1.scratchBytes }
        let used = allocated + ballast + scratch
        return used < capacity ? capacity - used : 0
    }

    /// Networks that were made for tests.
    package var madeNetworkNames: [String] { madeNetworks.keys.sorted() }

    // MARK: Files, with the space that they take

    package mutating func put(_ file: SimulatedFile, at path: String) {
        allocated -= files[path]?.extents.byteCount ?? 0
        allocated += file.extents.byteCount
        files[path] = file
    }

    package mutating func remove(_ path: String) {
        allocated -= files[path]?.extents.byteCount ?? 0
        files[path] = nil
    }

    package mutating func change(_ path: String, _ body: (inout SimulatedFile) -> Void) {
        guard let index = files.index(forKey: path) else { return }
        let before = files.values[index].extents.byteCount
        body(&files.values[index])
        allocated = allocated - before + files.values[index].extents.byteCount
    }

    /// One write of a guest: to its disk, and what was there to the scratch file of an open backup.
    ///
    /// - Returns: false when there is no space; the guest sees an I/O error.
    mutating func write(
        _ uuid: String, disk index: Int, _ path: String, offset: UInt64, length: UInt64, _ stamp: WriteStamp
    ) -> Bool {
        if backups[uuid] != nil {
            for granule in Int(offset / Bitmap.granule)...Int((offset + length - 1) / Bitmap.granule) {
                backups[uuid]?.overwritten.insert(.init(disk: index, granule: granule))
            }
        }
        if capacity < allocated + ballast + length, freeBytes < length {
            domains[uuid]?.writeErrors += 1
            return false
        }
        change(path) { $0.write(offset: offset, length: length, stamp: stamp) }
        return true
    }

    /// Takes space of what is being received.
    package mutating func reserve(_ bytes: UInt64) { allocated += bytes }
    package mutating func release(_ bytes: UInt64) { allocated -= min(allocated, bytes) }

    /// The file and all that it stands on, the file first.
    package func chain(_ path: String) -> [String] {
        var chain: [String] = []
        var next: String? = path
        while let path = next, let file = files[path], chain.count < 4096 {
            chain.append(path)
            next = file.backing
        }
        return chain
    }

    /// What is read through a file; nil when there is no such file.
    package func content(_ path: String) -> LayeredContent? {
        guard files[path] != nil else { return nil }
        return LayeredContent(layers: chain(path).compactMap { files[$0]?.extents })
    }

    /// Whether a VM that is active has the file open, or reads through it.
    package func isOpen(_ path: String) -> Bool {
        domains.values.contains { domain in
            domain.power.isActive && domain.disks.contains { $0.path.map { chain($0).contains(path) } ?? false }
        }
    }

    /// Whether a copy of a VM is active here; one that was suspended because another host owns the VM by now is at rest.
    ///
    /// Once its protection has ended the host's record is gone, and its mark alone says whose the VM is.
    func writes(_ uuid: String) -> Bool {
        guard let domain = domains[uuid], domain.power.isActive else { return false }
        let owner = ownership.values.first { $0.vmUUID == uuid }?.owner ?? domain.stored?.ownership?.owner
        guard domain.power == .paused, let owner else { return true }
        return owner == vaultID
    }

    /// What libvirt's hook answers before a start: no, at a host whose record names another owner, or that nobody has
    /// confirmed since its boot.
    func refusesStart(_ uuid: String) -> Bool {
        guard let record = ownership.values.first(where: { $0.vmUUID == uuid }) else {
            return domains[uuid]?.stored?.ownership != nil
        }
        let mark = domains[uuid]?.stored?.ownership
        let isOther = mark.map { $0.epoch != record.epoch || $0.owner != record.owner } ?? false
        return record.owner != vaultID || isOther || !confirmed.contains(record.relationship)
    }

    /// Whether a VM that is active writes the file.
    package func isWritten(_ path: String) -> Bool {
        domains.values.contains { domain in
            domain.power.isActive && domain.disks.contains { $0.path == path && !$0.isReadOnly }
        }
    }
}

/// How long a copy of a vault is: what is in it nobody here reads.
package struct VaultCopyBytes: Hashable, Sendable {
    package var count: UInt64
}
