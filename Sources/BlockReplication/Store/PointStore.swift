internal import Foundation
package import SiteModel

/// The recovery points of one relationship at the site that is, or has been, its target.
///
/// The manifest's rename is the instant at which anything becomes true; files that it does not name are rubbish. One process
/// at a time has the store open (a lock on the directory). Every operation leaves all points of the manifest whole, wherever
/// it ends.
package actor PointStore {
    let directory: StoreDirectory
    let hook: StoreStepHook
    private let executor: StoreExecutor
    /// The record of what exists.
    package internal(set) var manifest: Manifest
    weak var draft: PointDraft?
    /// What merging and folding have written since the store was opened, in bytes.
    package internal(set) var rewrittenBytes: UInt64 = 0
    /// Nothing is left of a merge that a stop, or a failure since, has cut short.
    var mergesAreWhole = false
    /// What a fold that made way has done.
    var begunFold: BegunFold?
    /// Layers that merging keeps a chain to; fewer in tests.
    var longestChain = MergePlan.longestChain
    /// Layers that a check reads, by the check's number.
    var checking: [Int: Set<String>] = [:]
    var checksBegun = 0
    private var isOpen = true

    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private init(directory: StoreDirectory, manifest: Manifest, hook: @escaping StoreStepHook) {
        self.directory = directory
        self.manifest = manifest
        self.hook = hook
        executor = StoreExecutor(label: manifest.relationship)
    }

    /// Opens the store of a relationship that has one; `.notFound` when there is none, `.busy` when it is open elsewhere.
    package static func open(
        root: String, relationship: String, hook: @escaping StoreStepHook = { _ in }
    ) throws -> PointStore {
        let directory = try StoreDirectory(root: root, relationship: relationship, create: false, lock: true)
        return PointStore(directory: directory, manifest: try ManifestFile.read(directory), hook: hook)
    }

    /// Opens the store of the relationship that `fresh` names, making it with `fresh` as manifest if there is none.
    package static func openOrCreate(
        root: String, _ fresh: Manifest, hook: @escaping StoreStepHook = { _ in }
    ) throws -> PointStore {
        let directory = try StoreDirectory(root: root, relationship: fresh.relationship, create: true, lock: true)
        if directory.exists(StoreNames.manifest) {
            return PointStore(directory: directory, manifest: try ManifestFile.read(directory), hook: hook)
        }
        try directory.write(StoreNames.manifest, try ManifestFile.encode(fresh))
        try directory.sync()
        return PointStore(directory: directory, manifest: fresh, hook: hook)
    }

    /// Reads a manifest without opening its store, as it was at the last commit.
    package static func readManifest(root: String, relationship: String) throws -> Manifest {
        try ManifestFile.read(StoreDirectory(root: root, relationship: relationship, create: false, lock: false))
    }

    /// Ids of the relationships that have a manifest under `root`.
    package static func relationships(root: String) throws -> [String] {
        guard FileManager.default.fileExists(atPath: root) else { return [] }
        return try FileManager.default.contentsOfDirectory(atPath: root).filter { name in
            (try? StoreNames.checkRelationship(name)) != nil
                && FileManager.default.fileExists(atPath: "\(root)/\(name)/\(StoreNames.manifest)")
        }.sorted()
    }

    /// Gives the lock back; nothing can be changed through this store afterwards.
    package func close() {
        isOpen = false
        draft = nil
        directory.unlock()
    }

    /// Absolute path of the relationship's directory.
    package nonisolated var path: String { directory.path }

    /// Bytes that can still be written to the file system of the store.
    package func freeBytes() throws -> UInt64 { try directory.freeBytes() }

    /// The inactive domain XML that a point was sealed with.
    package func domainXML(_ generation: String) throws -> String {
        let data = try directory.read(try requirePoint(generation).domainXML, limit: PointStore.maximumDomainXML)
        return String(decoding: data, as: UTF8.self)
    }

    /// Records who owns the VM since which failover; an older epoch than the recorded one is refused.
    package func claim(owner: String, epoch: Int) throws {
        guard epoch >= manifest.epoch, epoch > manifest.epoch || owner == manifest.owner else {
            throw staleEpoch(epoch)
        }
        try commit {
            $0.epoch = epoch
            $0.owner = owner
        }
    }

    /// Notes that protection has ended; the first time counts.
    package func release(at time: Timestamp) throws {
        guard manifest.releasedAt == nil else { return }
        try commit { $0.releasedAt = time }
    }

    /// The most that is kept of what the vault knows, in bytes.
    private static let maximumContext = 1 << 20

    /// Keeps what the vault knows of the VM's replication; what is kept already is not written again.
    func keep(context: String) throws {
        guard context != manifest.context else { return }
        guard context.utf8.count <= Self.maximumContext else {
            throw ReplicationError(
                .invalidArgument, "what the vault knows of the VM has \(context.utf8.count) bytes",
                hint: "at most \(Self.maximumContext) are kept beside the points",
                context: ["relationship": manifest.relationship])
        }
        try commit { $0.context = context }
    }

    /// Starts a new recovery point and makes a writer for each disk.
    ///
    /// The first point is a raw base, or an overlay on an adopted base; a later one an overlay on the newest. `parent` is the
    /// newest generation (nil for the first). Disks may be other ones than before, and of another size (`PointStore+Shape`).
    /// Errors: `.staleParent`, `.busy` while another draft lives.
    package func beginPoint(generation: String, parent: String?, disks plans: [DiskPlan]) throws -> PointDraft {
        try StoreNames.checkGeneration(generation)
        try checkNoDraft()
        try checkOpen()
        let known = allLayers.map(\.generation) + manifest.retainedMaps.map(\.generation)
        guard !known.contains(generation) else {
            throw ReplicationError(
                .invalidArgument, "generation \(generation) exists already",
                hint: "mint a new generation for each cycle")
        }
        try checkParent(parent)
        try checkPlans(plans)
        try dropGrowing()
        let disks = try plans.map { plan in
            try makeDraftDisk(plan, generation: generation)
        }
        let draft = PointDraft(store: self, generation: generation, parent: parent, disks: disks)
        self.draft = draft
        return draft
    }

    private func checkParent(_ parent: String?) throws {
        let newest = manifest.newest?.generation ?? manifest.baseGeneration
        // On adopted disks nothing need be known of what they held: the first copy over them is the caller's care.
        if parent == newest || (manifest.points.isEmpty && parent == nil) { return }
        throw ReplicationError(
            .staleParent, "the point's parent \(parent ?? "none") is not the newest generation \(newest ?? "none")",
            hint: "compare the disks by hash, or send the changes since the newest generation",
            context: ["relationship": manifest.relationship])
    }

    func checkPlans(_ plans: [DiskPlan]) throws {
        guard !plans.isEmpty, Set(plans.map(\.target)).count == plans.count else {
            throw ReplicationError(
                .invalidArgument, "a point has at least one disk and each disk once", hint: "correct the list of disks")
        }
        for plan in plans {
            try StoreNames.checkTarget(plan.target)
            try BlockGrid.checkDisk(size: plan.size)
        }
    }

    private func makeDraftDisk(_ plan: DiskPlan, generation: String) throws -> PointDraft.Disk {
        guard let backing = try backing(of: plan) else {
            let (name, sums) = (StoreNames.base(plan.target), StoreNames.baseSums(plan.target))
            try directory.remove(name + StoreNames.part)
            try directory.remove(sums + StoreNames.part)
            let writer = try RawBaseWriter(
                creating: directory.path(name + StoreNames.part), size: plan.size,
                sums: directory.path(sums + StoreNames.part))
            return PointDraft.Disk(
                target: plan.target, size: plan.size, file: name, sums: sums, format: .raw, writer: writer)
        }
        let name = StoreNames.overlay(generation, plan.target)
        let sums = StoreNames.sums(generation, plan.target, serial: manifest.serial)
        try directory.remove(name + StoreNames.part)
        try directory.remove(sums + StoreNames.part)
        let writer = try OverlayWriter(
            creating: directory.path(name + StoreNames.part), size: plan.size, backing: backing.reference,
            sums: directory.path(sums + StoreNames.part))
        return PointDraft.Disk(
            target: plan.target, size: plan.size, file: name, sums: sums, format: .qcow2, writer: writer,
            beneath: backing.size, addedBase: backing.added)
    }

    /// Makes a change of the manifest true: written beside, flushed, renamed.
    func commit(_ change: (inout Manifest) throws -> Void) throws {
        try checkOpen()
        var next = manifest
        try change(&next)
        if let damage = next.damage {
            let known = Set((next.layers + next.points.map(\.layer)).map(\.generation))
            let left = damage.filter { known.contains($0.generation) }
            next.damage = left.isEmpty ? nil : left
        }
        try directory.writePart(StoreNames.manifest, try ManifestFile.encode(next))
        try hook(.manifestWritten)
        try directory.rename(StoreNames.manifest + StoreNames.part, to: StoreNames.manifest)
        manifest = next
        try directory.sync()
        try hook(.manifestRenamed)
    }

    /// Lets other calls in between two pieces of long work; throws `MadeWay` when the work is to end here.
    func makeWay(unless isAwaited: IsAwaited) async throws {
        await Task.yield()
        guard isOpen, !Task.isCancelled, !isAwaited() else { throw MadeWay() }
    }

    func checkOpen() throws {
        guard isOpen else {
            throw ReplicationError(
                .invalidArgument, "the store of \(manifest.relationship) was closed", hint: "open it again")
        }
    }

    /// Points and layers, oldest first.
    var allLayers: [LayerRecord] {
        (manifest.layers + manifest.points.map(\.layer)).sorted { $0.number < $1.number }
    }

    func requirePoint(_ generation: String) throws -> RecoveryPointRecord {
        guard let point = manifest.point(generation) else {
            throw ReplicationError(
                .notFound, "there is no recovery point \(generation)",
                hint: "choose one of the points that the manifest lists",
                context: ["relationship": manifest.relationship])
        }
        return point
    }

    func checkNoDraft() throws {
        guard draft == nil else {
            throw ReplicationError(
                .busy, "a recovery point of this VM is being written",
                hint: "seal or abandon it first", context: ["relationship": manifest.relationship])
        }
    }

    func staleEpoch(_ epoch: Int) -> ReplicationError {
        ReplicationError(
            .staleEpoch,
            "epoch \(epoch) is not valid: the recorded owner is \(manifest.owner) at epoch \(manifest.epoch)",
            hint: "another failover has happened: read the present owner from the vault and act on that",
            context: ["relationship": manifest.relationship])
    }
}
