import Foundation
import Testing

@testable import BlockReplication

/// A VM whose disks come, go, grow and shrink between its points.
private final class ShapeShifter {
    let site: StoreSite

    init(seed: UInt64) throws {
        site = try StoreSite(seed: seed, sizes: ["vda": (3 << 20) + 512, "vdb": 1 << 20])
    }

    func resize(_ target: String, to size: Int) {
        let made = ReferenceDisk(size: size)
        if let old = site.disks[target] {
            let count = min(size, Int(old.size))
            UnsafeMutableRawBufferPointer(rebasing: made.bytes[..<count])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: old.bytes[..<count]))
        }
        site.disks[target] = made
    }

    /// One change of shape by chance: a disk grown, shrunk, added, or taken away.
    func shift() {
        let targets = site.disks.keys.sorted()
        let steps = Int.random(in: 1...4000, using: &site.generator) * 512
        switch Int.random(in: 0..<6, using: &site.generator) {
        case 0, 1:
            guard let target = targets.randomElement(using: &site.generator), let disk = site.disks[target] else {
                return
            }
            resize(target, to: Int(disk.size) + steps)
        case 2:
            guard let target = targets.randomElement(using: &site.generator), let disk = site.disks[target] else {
                return
            }
            resize(target, to: max(512, Int(disk.size) - steps))
        case 3:
            guard let free = ["vda", "vdb", "vdc", "vdd"].first(where: { site.disks[$0] == nil }) else { return }
            let disk = ReferenceDisk(size: steps + 4096)
            disk.fill(0, 4096, &site.generator)
            site.disks[free] = disk
        case 4:
            guard targets.count > 1, let target = targets.randomElement(using: &site.generator) else { return }
            site.disks[target] = nil
        default: break
        }
    }

    /// Makes a point as a sender does: what is new of a disk travels whole, the rest as it changes.
    ///
    /// With `whole`, all travels: a cycle that was cut short has changed the disks too.
    func cycle(_ store: PointStore, _ number: Int, whole: Bool = false) async throws {
        let manifest = await store.manifest
        let draft = try await store.beginPoint(
            generation: StoreSite.generation(number), parent: manifest.newest?.generation, disks: site.plans)
        let held = Dictionary(
            manifest.newestDisks.map { ($0.target, $0.size) }, uniquingKeysWith: { first, _ in first })
        for (target, disk) in site.disks {
            let beneath = whole ? 0 : held[target] ?? 0
            let from = beneath / 4096 * 4096
            guard !manifest.points.isEmpty, beneath < disk.size, let writer = draft.writers[target] else {
                continue
            }
            // Data and zeros by turns, so that some of both falls on what older layers had there.
            for at in stride(from: from, to: disk.size, by: 256 << 10) {
                let length = min(256 << 10, disk.size - at)
                if isZero(disk.slice(at, length)) {
                    try writer.zero(offset: at, length: length)
                } else {
                    try writer.write(disk.slice(at, length), at: at)
                }
            }
        }
        try site.change(number, draft, count: 8, longest: 20)
        _ = try await site.seal(draft, number)
    }
}

@Suite("Disks that are added, taken away, grown and shrunk between points")
struct StoreShapeTests {
    @Test(
        "every point keeps the disks and sizes of its time, whatever is merged and folded",
        arguments: [1, 2, 3, 4, 5, 6])
    func random(_ seed: UInt64) async throws {
        let shifter = try ShapeShifter(seed: seed)
        let site = shifter.site
        let store = try site.open()
        await store.limitChain(6)
        var shapes: [String: [String: UInt64]] = [:]
        for number in 1...24 {
            if number > 1 { for _ in 0..<Int.random(in: 0...2, using: &site.generator) { shifter.shift() } }
            try await shifter.cycle(store, number)
            shapes[StoreSite.generation(number)] = site.disks.mapValues(\.size)
            // Some points are kept for longer, as hourly ones are.
            let all = await store.manifest.points.map(\.generation).dropLast(2)
            let retired = all.filter { _ in Int.random(in: 0..<3, using: &site.generator) > 0 }
            try await store.retire(Set(retired))
            if number % 4 == 0 { try await site.verify(store) }
        }
        let manifest = await store.manifest
        for point in manifest.points {
            let sizes = Dictionary(
                point.disks.map { ($0.target, manifest.size(of: $0)) }, uniquingKeysWith: { first, _ in first })
            #expect(sizes == shapes[point.generation]?.mapValues { Optional($0) })
            let paths = try await store.bootOverlay(generation: point.generation, epoch: 0)
            #expect(Set(paths.keys) == Set(shapes[point.generation]?.keys.map { $0 } ?? []))
            for (target, path) in paths {
                let size = try Qcow2Header(reading: ImageFile(reading: path)).size
                #expect(size == shapes[point.generation]?[target])
            }
            try await site.verify(store)
            try await store.discardBoot(epoch: 0)
        }
        #expect(try await store.collectGarbage() == [])
        // What no point has any more leaves nothing behind.
        if let newest = manifest.newest {
            try await store.retire(Set(manifest.points.map(\.generation)).subtracting([newest.generation]))
        }
        try await site.verify(store)
        await store.close()
        let again = try site.open()
        try await site.verify(again)
    }

    @Test("a stop at any step of a change of shape leaves every point whole, and the same can be done again")
    func stops() async throws {
        var step = 0
        while true {
            let shifter = try ShapeShifter(seed: 77)
            let site = shifter.site
            let first = try site.open()
            for number in 1...2 { try await shifter.cycle(first, number) }
            shifter.resize("vda", to: (4 << 20) + 512)
            shifter.resize("vdb", to: 512 << 10)
            site.disks["vdc"] = ReferenceDisk(size: 1 << 20)
            await first.close()
            let crash = CrashAt(step: step)
            let store = try site.open { try crash.hit($0) }
            var stopped = false
            do {
                try await shifter.cycle(store, 3)
                try await store.retire([StoreSite.generation(1), StoreSite.generation(2)])
            } catch is SimulatedCrash { stopped = true }
            await store.close()
            let again = try site.open()
            _ = try await again.collectGarbage()
            try await site.verify(again)
            if await again.manifest.points.last?.generation != StoreSite.generation(3) {
                try await shifter.cycle(again, 4, whole: true)
            }
            let points = await again.manifest.points.map(\.generation)
            try await again.retire(Set(points.dropLast()))
            try await site.verify(again)
            #expect(Set(await again.manifest.newest?.disks.map(\.target) ?? []) == ["vda", "vdb", "vdc"])
            #expect(try await again.collectGarbage() == [])
            await again.close()
            if !stopped { break }
            step += 1
        }
        #expect(step > 15)
    }

    @Test("a point that does not say all of what is new is refused")
    func uncovered() async throws {
        for change in ["grown", "added"] {
            let shifter = try ShapeShifter(seed: 5)
            let site = shifter.site
            let store = try site.open()
            try await shifter.cycle(store, 1)
            if change == "grown" {
                shifter.resize("vda", to: 4 << 20)
            } else {
                site.disks["vdc"] = ReferenceDisk(size: 4096)
            }
            let draft = try await store.beginPoint(
                generation: StoreSite.generation(2), parent: StoreSite.generation(1), disks: site.plans)
            let error = await #expect(throws: ReplicationError.self) { _ = try await site.seal(draft, 2) }
            #expect(error?.code == .invalidArgument && error?.message.contains("new from byte") == true)
            try await draft.abandon()
            try await site.verify(store)
            #expect(try await store.collectGarbage() == [])
        }
    }
}
