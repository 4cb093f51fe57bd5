internal import Foundation

/// A first copy in legs: its base grows in files that are no point's, and the manifest says up to where they count.
extension PointStore {
    /// Begins a leg: a draft whose writers go on with the base that earlier legs have made, or with an empty one.
    ///
    /// A base of disks of another number or size, and one whose files are gone, begins anew.
    func beginLeg(generation: String, disks plans: [DiskPlan]) throws -> (draft: PointDraft, base: GrowingBase) {
        try StoreNames.checkGeneration(generation)
        try checkNoDraft()
        try checkOpen()
        try checkPlans(plans)
        var base = try growingBase(of: plans)
        for index in base.disks.indices where directory.exists(StoreNames.mixed(base.disks[index].target)) {
            base.disks[index].isMixed = true
        }
        let disks = try base.disks.map { disk in
            let name = StoreNames.base(disk.target)
            let sums = StoreNames.baseSums(disk.target)
            // One that an older version has begun has none.
            let hasSums = directory.exists(sums + StoreNames.part)
            let writer = try RawBaseWriter(
                continuing: directory.path(name + StoreNames.part), size: disk.size, frontier: disk.frontier,
                sums: hasSums ? directory.path(sums + StoreNames.part) : nil
            ) { [directory] in
                try directory.write(StoreNames.mixed(disk.target), Data())
                try directory.sync()
            }
            return PointDraft.Disk(
                target: disk.target, size: disk.size, file: name, sums: hasSums ? sums : nil, format: .raw,
                writer: writer, base: writer)
        }
        let draft = PointDraft(store: self, generation: generation, parent: nil, disks: disks)
        self.draft = draft
        return (draft, base)
    }

    /// Makes count what a leg has written and flushed; returns whether nothing of the copy is missing any more.
    ///
    /// Where something is, the draft ends here: the next leg has one of its own.
    func endLeg(_ draft: PointDraft, _ leg: EndLeg) throws -> Bool {
        guard self.draft === draft, draft.isLeg, var base = manifest.growing else {
            throw ReplicationError(
                .invalidArgument, "the leg \(draft.generation) was abandoned", hint: "begin the leg again")
        }
        for index in base.disks.indices {
            let disk = base.disks[index]
            // It may lie lower than before: as far as both sides were compared.
            guard let frontier = leg.frontiers[disk.target], frontier <= disk.size,
                frontier % BlockGrid.block == 0 || frontier == disk.size
            else {
                throw ReplicationError(
                    .invalidArgument, "a leg cannot end where disk \(disk.target) is said to",
                    hint: "send the leg again", context: ["generation": draft.generation])
            }
            base.disks[index].frontier = frontier
            base.disks[index].mark = leg.marks[disk.target]
        }
        base.legs += 1
        base.bytes &+= leg.bytes
        base.checkpoint = leg.checkpoint
        try commit { $0.growing = base }
        for disk in base.disks { try directory.remove(StoreNames.mixed(disk.target)) }
        for disk in draft.disks { disk.base?.keep(below: base[disk.target]?.frontier ?? 0) }
        if !base.isWhole { self.draft = nil }
        return base.isWhole
    }

    /// Gives a first copy up that is not whole, and removes what came of it.
    func dropGrowing() throws {
        guard manifest.growing != nil else { return }
        try checkNoDraft()
        let files = growingFiles
        try commit { $0.growing = nil }
        try removeUnreferenced(files)
    }

    /// Of a draft that is a leg, the whole copy must be in before it becomes a point.
    func checkWhole(_ draft: PointDraft) throws {
        guard draft.isLeg, manifest.growing?.isWhole != true else { return }
        throw ReplicationError(
            .invalidArgument, "the first copy is not whole: a part of its disks is missing",
            hint: "end the leg, and send further ones until nothing is missing",
            context: ["relationship": manifest.relationship])
    }

    /// Names that the files of the growing base may have: a process that dies while it seals has renamed some of them.
    var growingFiles: [String] {
        (manifest.growing?.disks ?? []).flatMap {
            [StoreNames.base($0.target), StoreNames.baseSums($0.target)].flatMap { [$0, $0 + StoreNames.part] }
                + [StoreNames.mixed($0.target)]
        }
    }

    /// The base that a leg goes on with; its files are there.
    private func growingBase(of plans: [DiskPlan]) throws -> GrowingBase {
        let wanted = Set(plans)
        if let base = manifest.growing,
            Set(base.disks.map { DiskPlan(target: $0.target, size: $0.size) }) == wanted,
            try base.disks.allSatisfy({ try isThere($0) })
        {
            return base
        }
        try dropGrowing()
        let fresh = GrowingBase(disks: plans.map { GrowingDisk(target: $0.target, size: $0.size) })
        for plan in plans {
            let part = StoreNames.base(plan.target) + StoreNames.part
            let sums = StoreNames.baseSums(plan.target) + StoreNames.part
            try directory.remove(part)
            try directory.remove(sums)
            _ = try RawBaseWriter(creating: directory.path(part), size: plan.size, sums: directory.path(sums))
        }
        // The names become durable with the record that speaks of them.
        try commit { $0.growing = fresh }
        return fresh
    }

    private func isThere(_ disk: GrowingDisk) throws -> Bool {
        let (name, part) = (StoreNames.base(disk.target), StoreNames.base(disk.target) + StoreNames.part)
        if !directory.exists(part), directory.exists(name) { try directory.rename(name, to: part) }
        let sums = StoreNames.baseSums(disk.target)
        if !directory.exists(sums + StoreNames.part), directory.exists(sums) {
            try directory.rename(sums, to: sums + StoreNames.part)
        }
        return try directory.exists(part) && ImageFile(reading: directory.path(part)).length() == disk.size
    }
}
