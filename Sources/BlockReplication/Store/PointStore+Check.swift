internal import Foundation
package import SiteModel

/// Whether points hold what was written to them, as far as it is known, and finding out.
///
/// A block is in a point when the point's chain holds it and no newer layer of the chain holds another one there. So a damaged
/// block is in every point from its layer up to the one below which it is overwritten: older points do not stand on the layer,
/// and newer ones that hold a block of their own there are whole.
extension PointStore {
    func clock() -> Timestamp { Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)) }

    /// What is known to be wrong with a point; nil when nothing is.
    ///
    /// Nothing is read of the disks for it.
    package func damage(of generation: String) throws -> PointDamage? {
        guard manifest.damage != nil else { return nil }
        let damages = LayerDamages(manifest.damage)
        if let at = damages.definition(generation) { return PointDamage(cause: .altered, at: at, disks: []) }
        let chain = try layers(of: generation)
        var result: PointDamage?
        for disk in try requirePoint(generation).disks {
            var (covered, wrong) = (beyond(manifest.size(of: disk)), ExtentMap())
            for layer in chain {
                for known in damages[layer.generation, disk.target] {
                    let seen = known.map.subtracting(covered)
                    wrong = wrong.union(seen)
                    if !seen.isEmpty, result == nil {
                        result = PointDamage(cause: known.cause, at: known.at, disks: [])
                    }
                }
                guard let part = layer.disks.first(where: { $0.target == disk.target }) else { continue }
                covered = covered.union(extents(of: part)).union(beyond(manifest.size(of: part)))
            }
            if !wrong.isEmpty { result?.disks.append(DamagedDisk(target: disk.target, wrong)) }
        }
        return result
    }

    /// Where the newest point is known to be damaged, by disk.
    func damagedExtents() throws -> [String: ExtentMap] {
        guard manifest.damage != nil, let newest = manifest.newest else { return [:] }
        let damages = LayerDamages(manifest.damage)
        let chain = try layers(of: newest.generation)
        var result: [String: ExtentMap] = [:]
        for disk in newest.disks {
            var (covered, wrong) = (beyond(manifest.size(of: disk)), ExtentMap())
            for layer in chain {
                for known in damages[layer.generation, disk.target] {
                    wrong = wrong.union(known.map.subtracting(covered))
                }
                guard let part = layer.disks.first(where: { $0.target == disk.target }) else { continue }
                covered = covered.union(extents(of: part)).union(beyond(manifest.size(of: part)))
            }
            if !wrong.isEmpty { result[disk.target] = wrong }
        }
        return result
    }

    /// The layers of a point's chain, from the point down.
    private func layers(of generation: String) throws -> [LayerRecord] {
        let layers = Dictionary(uniqueKeysWithValues: allLayers.map { ($0.generation, $0) })
        var chain = [try requirePoint(generation).layer]
        while let below = chain.last?.over.flatMap({ layers[$0] }), chain.count <= layers.count { chain.append(below) }
        return chain
    }

    /// What an image itself holds, as its own tables say; as the map says where they cannot be read.
    private func extents(of disk: PointDisk) -> ExtentMap {
        if disk.format == .raw { return .whole(manifest.size(of: disk) ?? 0) }
        if let found = try? OverlayReader(opening: directory.path(disk.file)).extents() { return found }
        return (try? readMap(disk.map)) ?? ExtentMap()
    }

    /// What lies beyond the end that a disk had: nothing beneath shows through there.
    private func beyond(_ size: UInt64?) -> ExtentMap {
        guard let size else { return ExtentMap() }
        return ExtentMap(CollectionOfOne(Extent(offset: size, length: UInt64(Int64.max) - size)))
    }

    /// Opens all that the points' content lies in; `only` names the places that matter, by disk.
    ///
    /// Until `endCheck` the base stays as it is, so that what is read is what the checksums are of.
    func beginCheck(_ wanted: [String]?, only: [String: ExtentMap]? = nil) throws -> PointCheck {
        try checkOpen()
        let points = try wanted?.map { try requirePoint($0) } ?? manifest.points
        checksBegun += 1
        var check = PointCheck(
            number: checksBegun, generations: points.map(\.generation), isWhole: only == nil)
        var parts: [String: PointCheck.Part] = [:]
        for point in points {
            try checkDefinition(of: point, &check)
            let chain = try layers(of: point.generation)
            check.held.formUnion(chain.map(\.generation))
            for top in point.disks {
                guard let disk = manifest.disks.first(where: { $0.target == top.target }) else { continue }
                let size = manifest.size(of: top) ?? disk.size
                var covered = beyond(size)
                let matters = only.map { $0[disk.target] ?? ExtentMap() } ?? .whole(size)
                for (index, layer) in chain.enumerated() {
                    guard let part = layer.disks.first(where: { $0.target == disk.target }) else { continue }
                    // The first image of a disk that was added stands on the base, whatever lies beneath its layer.
                    let next =
                        part.isWhole != true && index + 1 < chain.count
                        ? chain[index + 1].disks.first { $0.target == disk.target } : nil
                    let key = "\(layer.generation) \(disk.target)"
                    if parts[key] == nil {
                        parts[key] = try open(
                            part, layer.generation, manifest.size(of: part) ?? size, on: next, or: disk.base.path,
                            &check)
                    }
                    let own = extents(of: part)
                    let seen = own.subtracting(covered).intersection(matters)
                    covered = covered.union(own).union(beyond(manifest.size(of: part)))
                    if var known = parts[key] {
                        known.visible = known.visible.union(seen)
                        parts[key] = known
                    } else {
                        check.unrecorded[point.generation, default: 0] += seen.dataByteCount
                    }
                }
                // An adopted disk has no checksums, nor has the base of a disk that was added.
                let isLayer = chain.last?.disks.contains { $0.target == disk.target } == true
                guard disk.base.external || !isLayer else { continue }
                check.unrecorded[point.generation, default: 0] += matters.subtracting(covered).byteCount
            }
        }
        check.parts = parts.sorted { $0.key < $1.key }.map(\.value)
        checking[check.number] = check.held
        return check
    }

    private func checkDefinition(of point: RecoveryPointRecord, _ check: inout PointCheck) throws {
        if let sum = point.domainSum {
            let data = try? directory.read(point.domainXML, limit: Self.maximumDomainXML)
            if data.map(Self.domainSum) != sum { check.damagedDefinitions.insert(point.generation) }
        }
        // Without its UEFI variables or TPM state the VM is another one, or does not start.
        do { _ = try firmware(point.generation) } catch { check.damagedDefinitions.insert(point.generation) }
    }

    /// The open image with its checksums; nil where none were kept.
    private func open(
        _ disk: PointDisk, _ generation: String, _ size: UInt64, on older: PointDisk?, or base: String,
        _ check: inout PointCheck
    ) throws -> PointCheck.Part? {
        let path = directory.path(disk.file)
        let below = older?.file ?? base
        func wrong(_ extents: ExtentMap, _ cause: PointDamage.Cause) {
            guard !extents.isEmpty else { return }
            check.wrong.append(
                PointCheck.Wrong(generation: generation, target: disk.target, extents: Array(extents), cause: cause))
        }
        let map = try? readMap(disk.map)
        do {
            let image: PointCheck.Part.Image
            if disk.format == .raw {
                let file = try ImageFile(reading: path)
                if try file.length() < size { wrong(.whole(size), .altered) }
                image = .raw(file)
            } else {
                let overlay = try OverlayReader(opening: path)
                try requireSize(of: overlay, disk)
                let found = try overlay.extents()
                let isFolding = manifest.folding == generation && found.isEmpty
                if overlay.backing.file != below {
                    // A merger that has its name already, or what is empty after a fold, and not recorded yet: its checksums are
                    // others. Any other name means that all of the disk is read from somewhere else.
                    if isFolding || isMerger(overlay.backing.file, on: older) { return nil }
                    wrong(.whole(size), .altered)
                    return nil
                }
                if disk.sums != nil, !isFolding, let map { wrong(found.difference(from: map), .altered) }
                image = .overlay(overlay)
            }
            // Without data there is nothing to look at, and an older version has kept none.
            guard let sums = disk.sums else { return nil }
            return PointCheck.Part(
                generation: generation, target: disk.target, image: image,
                sums: try BlockSums(reading: directory.path(sums), size: size), visible: ExtentMap())
        } catch let error as ReplicationError where [.damaged, .unsupported, .io, .notFound].contains(error.code) {
            wrong(map ?? .whole(size), error.code == .io ? .unreadable : .altered)
            return nil
        }
    }

    /// Records what a check has found, and what a comparison with the source has; lets the files go.
    ///
    /// What was known to be wrong and has been found right is forgotten.
    func endCheck(
        _ check: PointCheck, wrong: [PointCheck.Wrong]?, differing: [String: ExtentMap] = [:]
    ) throws {
        checking[check.number] = nil
        guard let wrong else { return }
        var damages = LayerDamages(manifest.damage)
        let now = clock()
        for part in check.parts { damages.clear(part.generation, part.target, part.visible) }
        for found in wrong { damages.add(found.generation, found.target, found.extents, found.cause, at: now) }
        for generation in check.generations {
            damages.clearDefinition(generation)
            if check.damagedDefinitions.contains(generation) { damages.addDefinition(generation, at: now) }
        }
        if let newest = check.generations.last {
            for (target, map) in differing.sorted(by: { $0.key < $1.key }) {
                damages.add(newest, target, map, .differs, at: now)
            }
        }
        let list = damages.list()
        if list != manifest.damage { try commit { $0.damage = list } }
        guard check.isWhole else { return }
        let sound = try check.generations.filter {
            try manifest.point($0) != nil && check.unrecorded[$0, default: 0] == 0 && damage(of: $0) == nil
        }
        guard !sound.isEmpty else { return }
        try commit { next in
            for index in next.points.indices where sound.contains(next.points[index].generation) {
                next.points[index].checkedAt = now
            }
        }
    }
}

extension DamagedDisk {
    init(target: String, _ map: ExtentMap) {
        self.init(
            target: target, bytes: map.byteCount, ranges: map.prefix(Self.rangeLimit).map { [$0.offset, $0.length] },
            more: max(0, map.count - Self.rangeLimit))
    }
}

extension ExtentMap {
    /// Where one of two maps says something that the other does not, or another kind of thing.
    func difference(from other: ExtentMap) -> ExtentMap {
        guard self != other else { return ExtentMap() }
        func kind(_ map: ExtentMap, _ isZero: Bool) -> ExtentMap { ExtentMap(map.filter { $0.isZero == isZero }) }
        return [true, false].reduce(ExtentMap()) { sum, isZero in
            let (ours, theirs) = (kind(self, isZero), kind(other, isZero))
            return sum.union(ours.subtracting(theirs)).union(theirs.subtracting(ours))
        }
    }
}
