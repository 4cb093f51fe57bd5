import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

extension DomainDisk {
    /// Why the disk cannot be replicated, as the rest of a sentence about it, and the way out; nil when it can be.
    var obstacle: (what: String, way: String)? {
        if path == nil || size == nil {
            return (
                "is not a file that can be read",
                "only disks that are files are replicated; detach it, or make it read-only"
            )
        }
        if format != "qcow2" {
            return (
                "has format \(format)",
                "changes are tracked in qcow2 files only: convert it with qemu-img while the VM is off"
            )
        }
        if isShareable {
            return (
                "is shared with other VMs",
                "a point of one VM is no consistent state of the others: take <shareable/> away"
            )
        }
        return nil
    }
}

/// Disks that are added, taken away or resized while the VM is replicated.
///
/// What was added travels whole with the next point, what was taken away is in older points only, and what was resized has its
/// new size from the next point on. What cannot be replicated stops replication, with the reason: it is left out by name alone.
extension JobDriver {
    /// The disks that the guest can write and that were not left out.
    private func covered(_ domain: Domain) -> [DomainDisk] {
        domain.disks.filter { !$0.isReadOnly && !(relationship.excludedDisks ?? []).contains($0.target) }
    }

    /// Refuses disks that no point can hold; nothing is changed.
    func checkReplicableShape(of domain: Domain) async throws {
        let obstacles = covered(domain).compactMap { disk in disk.obstacle.map { (disk.target, $0) } }
        guard let first = obstacles.first else { return }
        let reasons = Dictionary(obstacles.map { ($0.0, $0.1.what) }, uniquingKeysWith: { first, _ in first })
        if relationship.unreplicated != reasons {
            try await record { _, relationship, _ in relationship.unreplicated = reasons }
        }
        let name = relationship.name
        throw EngineError(
            .disksChanged,
            "the disks of \(name) changed since it was protected: "
                + obstacles.map { "\($0.0) is not replicated, as it \($0.1.what)" }.joined(separator: "; "),
            hint: "\(first.1.way), and resume; or leave it out by name (vm:leave_out) and resume",
            object: name)
    }

    /// Takes into the record which disks the VM has now, and how large they are, before a point is made of them.
    func settleShape(of domain: Domain) async throws {
        try await checkReplicableShape(of: domain)
        let present = covered(domain)
        guard !present.isEmpty else {
            throw EngineError(
                .disksChanged, "\(relationship.name) has no disk left that is replicated",
                hint: "give it back one of the disks that it had and resume, or unprotect it", object: relationship.name
            )
        }
        let known = Dictionary(
            relationship.disks.map { ($0.target, $0.size) }, uniquingKeysWith: { first, _ in first })
        let sizes = Dictionary(present.map { ($0.target, $0.size ?? 0) }, uniquingKeysWith: { first, _ in first })
        guard sizes != known else { return }
        let news = Self.news(of: relationship.name, from: known, to: sizes, point: relationship.lastPointNumber)
        let (now, source, isHome) = (now, relationship.source, relationship.source == relationship.home)
        let isFirst = relationship.newestGeneration == nil
        try await record { _, relationship, vault in
            for disk in present where known[disk.target] == nil {
                var added = ReplicatedDisk(
                    target: disk.target, size: disk.size ?? 0,
                    images: [source: DiskImage(path: disk.path ?? "", format: disk.format)])
                if !isHome { added.original = nil }
                relationship.disks.append(added)
                if !isFirst {
                    relationship.unreplicated = (relationship.unreplicated ?? [:]).merging([
                        disk.target: "it was added, and no point with it is whole yet"
                    ]) { $1 }
                }
            }
            relationship.disks.removeAll { sizes[$0.target] == nil }
            for index in relationship.disks.indices {
                relationship.disks[index].size =
                    sizes[relationship.disks[index].target] ?? relationship.disks[index].size
            }
            for entry in news {
                try vault.append(
                    Event(
                        at: now, severity: .warning, object: relationship.id, text: entry.text, code: entry.code,
                        topic: .vm))
            }
        }
    }

    /// What is told of a change of shape.
    private static func news(
        of name: String, from known: [String: UInt64], to sizes: [String: UInt64], point: Int
    ) -> [(code: String, text: String)] {
        Set(known.keys).union(sizes.keys).sorted().compactMap { disk in
            switch (known[disk], sizes[disk]) {
            case (nil, .some):
                (
                    "disk-added",
                    "disk \(disk) was added to \(name): it travels whole with the next point; "
                        + "points up to \(point) do not have it"
                )
            case (.some, nil):
                (
                    "disk-removed",
                    "disk \(disk) was taken away from \(name): points from here on do not have it, older ones keep it"
                )
            case (.some(let before), .some(let after)) where before != after:
                (
                    "disk-resized",
                    "disk \(disk) of \(name) has \(after) bytes now, \(after > before ? "more" : "fewer") than the \(before) "
                        + "before; older points keep their size"
                )
            default: nil
            }
        }
    }

    /// Refuses to take the newest point for all of the VM while a disk of it is known to be in none.
    ///
    /// A point that was named by its number is taken: whoever names it knows what time it is of.
    func checkDisksInPoint(_ point: String, isNamed: Bool) async throws {
        guard let missing = relationship.unreplicated, !missing.isEmpty else { return }
        let disks = missing.sorted { $0.key < $1.key }.map { "\($0.key) (\($0.value))" }.joined(separator: ", ")
        let what = "point \(point) of \(relationship.name) does not have its disk \(disks)"
        guard isNamed || job.operation == .testFailover else {
            throw EngineError(
                .refused, what,
                hint: "name the point to go on without that disk: point = \"\(point)\", --point \(point)",
                object: relationship.name)
        }
        try await warn(what)
    }

    /// Refuses a name that another VM has at the target: the replica could not be defined there.
    func checkNameAtTarget() async throws {
        let name = relationship.name
        guard let other = try await hosts.hypervisor(relationship.target).domain(named: name),
            other.uuid != relationship.vmUUID
        else { return }
        throw EngineError(
            .invalid,
            "\(try await hosts.host(relationship.target).name) has another VM '\(name)' (\(other.uuid))",
            hint: "rename it there (virsh domrename), or undefine it: two VMs of one name cannot be at one host",
            object: name)
    }

    /// Takes into the record the disks that the chosen point has, on the files that the VM writes from now on.
    func recordDisks(of images: [BootImage]) async throws {
        let (target, before) = (relationship.target, relationship.failover?.disks ?? relationship.disks)
        try await record { _, relationship, _ in
            relationship.disks = images.compactMap { image in
                guard let top = image.chain.first else { return nil }
                var disk =
                    before.first { $0.target == image.target }
                    ?? ReplicatedDisk(target: image.target, size: image.size ?? 0, images: [:])
                disk.images[target] = top
                if let size = image.size { disk.size = size }
                return disk
            }
        }
        let there = Set(images.map(\.target))
        let without = before.map(\.target).filter { !there.contains($0) }
        guard !without.isEmpty else { return }
        try await warn(
            "the chosen point is older than disk \(without.joined(separator: ", ")) of \(relationship.name): "
                + "the VM starts without it; its file stays at the source")
    }

    /// The disks that the VM had before a failover, which may have been to a point with others.
    static func disks(before failover: FailoverRecord, now: [ReplicatedDisk]) -> [ReplicatedDisk] {
        guard let before = failover.disks else { return now }
        return before.map { disk in
            var disk = disk
            let images = now.first { $0.target == disk.target }?.images ?? [:]
            disk.images.merge(images) { known, _ in known }
            return disk
        }
    }

    /// Deals with the disks that no point holds, and says what is gone.
    func settleOtherDisks(in definition: inout DomainDefinition, _ images: [BootImage]) async throws {
        let covered = Set(images.map(\.target))
        let files = definition.readableFiles(besides: covered)
        let present = await (try? hosts.agent(relationship.target))?.present(of: files) ?? []
        let gone = definition.settleOtherDisks(
            besides: covered, present: present, isHome: relationship.target == relationship.home,
            excluded: relationship.excludedDisks ?? [])
        if let what = OtherDisks.words(for: gone, of: relationship.name) { try await warn(what) }
    }

    /// Says what the operator should know of an operation that goes on all the same, once.
    private func warn(_ what: String) async throws {
        let now = now
        try await record { job, relationship, vault in
            guard job.facts["findings"]?.contains(what) != true else { return }
            Self.add([what], to: &job)
            try vault.append(Event(at: now, severity: .warning, object: relationship.id, text: what, topic: .vm))
        }
    }
}
