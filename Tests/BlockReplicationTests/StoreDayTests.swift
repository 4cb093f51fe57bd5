import Foundation
import SiteModel
import TestSupport
import Testing

@testable import BlockReplication

@Suite("A day of 30-second cycles with 24 hourly points and a test VM open all along", .serialized)
struct StoreDayTests {
    /// One disk in memory of which every cycle changes a few blocks, and what it was at the instants that matter.
    final class Day {
        let site: StoreSite
        let store: PointStore
        private let folder: String?
        var number = 0
        var points: [RecoveryPoint] = []
        var sent: UInt64 = 0
        var longest = 0

        init(seed: UInt64, mebibytes: Int) throws {
            // In memory where there is such a place: it is thousands of cycles, each flushed several times.
            let memory = "/dev/shm/perilune-" + UUID().uuidString.suffix(12).lowercased()
            let isThere =
                (try? FileManager.default.createDirectory(
                    atPath: memory, withIntermediateDirectories: false)) != nil
            folder = isThere ? memory : nil
            site = try StoreSite(seed: seed, sizes: ["vda": mebibytes << 20], root: folder)
            store = try site.open()
        }

        deinit { if let folder { try? FileManager.default.removeItem(atPath: folder) } }

        /// One cycle that changes `blocks` of 4 KiB, and what the policy says after it.
        func cycle(_ second: Int64, blocks: Int, extra: Int, pinned: [String]) async throws {
            number += 1
            let generation = StoreSite.generation(number)
            let parent = await store.manifest.newest?.generation
            let draft = try await store.beginPoint(generation: generation, parent: parent, disks: site.plans)
            let disk = try #require(site.disks["vda"])
            let writer = try #require(draft.writers["vda"])
            for _ in 0..<blocks {
                let offset = UInt64.random(in: 0..<disk.size / 4096, using: &site.generator) * 4096
                disk.fill(offset, 4096, &site.generator)
                try writer.write(disk.slice(offset, 4096), at: offset)
            }
            let sealed = try await draft.seal(
                domainXML: "<domain>\(second)</domain>", kind: .crashConsistent,
                time: Timestamp(milliseconds: second * 1000))
            if number > 1 { sent += sealed.disks.reduce(0) { $0 + $1.bytes } }
            points.append(
                RecoveryPoint(
                    id: generation, number: number, relationship: StoreSite.relationship, previous: parent,
                    cause: .crashConsistent, at: sealed.time, host: "b", bytes: 0))
            // The length that a VM would find if it were started now, its own image included.
            longest = max(longest, await length(generation) + 1)
            let kept = Retention.kept(points, extra: extra)
            let all = await store.manifest.points.map(\.generation)
            try await store.retire(
                PointsToRetire.of(all, keeping: kept.map(\.id), pinned: pinned), pinned: Set(pinned))
            points = kept
        }

        private func length(_ generation: String) async -> Int {
            let layers = await store.allLayers
            let over = Dictionary(uniqueKeysWithValues: layers.map { ($0.generation, $0.over) })
            var (count, at): (Int, String?) = (0, generation)
            while let name = at, let next = over[name] {
                count += 1
                at = next
            }
            return count
        }

        /// Saves the disk as it is now, as what the newest point must read as.
        func remember() throws {
            let path = site.scratch("\(number).reference")
            try site.disks["vda"]?.save(path)
            site.references[StoreSite.generation(number), default: [:]]["vda"] = path
        }
    }

    /// Seconds from cycle to cycle, and the hours at which a test VM is started and all ends.
    @Test(
        "no chain above 32, points right, and the cost of merging bounded",
        arguments: [(period: 30, test: 0.05, end: 24), (period: 300, test: 25, end: 36)] as [(Int64, Double, Int64)])
    func day(period: Int64, pinnedAt hour: Double, end: Int64) async throws {
        let day = try Day(seed: 90, mebibytes: 64)
        let store = day.store
        var (test, chain): (String?, [ImageLayer]) = (nil, [])
        // The first day makes the points; the test VM stays for what comes after it has been started.
        for second in stride(from: Int64(0), to: end * 3600, by: Int64.Stride(period)) {
            try await day.cycle(second, blocks: 4, extra: 24, pinned: [])
            // A sample: each is a whole disk.
            if second % 14400 == 0 { try day.remember() }
            if test == nil, Double(second) >= hour * 3600 {
                try day.remember()
                let generation = StoreSite.generation(day.number)
                _ = try await store.bootOverlay(generation: generation, epoch: 0)
                chain = try await store.chain(of: .boot(epoch: 0), target: "vda")
                test = generation
            }
        }
        try day.remember()
        let manifest = await store.manifest
        let rewritten = await store.rewrittenBytes
        print(
            "a cycle each \(period) s, a test VM from hour \(hour) on: \(day.number) cycles, longest chain \(day.longest),"
                + " \(manifest.points.count) points, \(manifest.layers.count) layers; \(day.sent >> 20) MiB came, merging wrote"
                + " \(rewritten >> 20) MiB: " + String(format: "%.1f", Double(rewritten) / Double(day.sent))
                + " times that")
        #expect(day.longest <= 32)
        #expect(try await store.longest() <= MergePlan.longestChain)
        // Hour by hour, and the newest.
        let hourly = day.points.dropLast().map { $0.at.milliseconds / 1000 }
        let last = Int64(day.number - 1) * period
        let thisHour: Int64 = last / 3600
        let wanted: [Int64] = (thisHour - 23...thisHour).map { $0 * 3600 }
        #expect(hourly == wanted)
        #expect(manifest.points.map(\.generation) == day.points.map(\.id))
        #expect(rewritten < 16 * day.sent)
        // The test VM's own chain is as it was, name by name.
        #expect(try await store.chain(of: .boot(epoch: 0), target: "vda") == chain)
        let boot = ImageLayer(path: chain[0].path, format: .qcow2)
        try await compare(boot, day, try #require(test))
        var compared = 0
        for point in manifest.points where day.site.references[point.generation] != nil {
            let disk = point.disks[0]
            try await compare(
                ImageLayer(path: store.path + "/" + disk.file, format: disk.format), day, point.generation)
            compared += 1
        }
        #expect(compared >= 6)

        // The test is over: its side goes, and the base takes what waited.
        try await store.discardBoot(epoch: 0)
        try await day.cycle(last + period, blocks: 4, extra: 1, pinned: [])
        try day.remember()
        #expect(try await store.longest() <= 8)
        let newest = try #require(await store.manifest.newest?.disks.first)
        try await compare(
            ImageLayer(path: store.path + "/" + newest.file, format: .qcow2), day, StoreSite.generation(day.number))
        _ = try await store.collectGarbage()
        #expect(try storeFiles(store) == (await store.manifestFiles))
    }

    private func compare(_ layer: ImageLayer, _ day: Day, _ generation: String) async throws {
        let reference = try #require(day.site.references[generation]?["vda"])
        try await QemuImg.check(layer)
        #expect(try await QemuImg.haveSameContent(layer, ImageLayer(path: reference, format: .raw)), "\(generation)")
    }
}
