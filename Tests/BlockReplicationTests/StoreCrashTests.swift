import Foundation
import SiteModel
import TestSupport
import Testing

@testable import BlockReplication

@Suite("A store that stops at any step has all its points when it is opened again")
struct StoreCrashTests {
    typealias Site = StoreSite

    /// An operation and what must be so when it has been done at last.
    struct Scenario: Sendable, CustomTestStringConvertible {
        var name: String
        /// Points that are there before.
        var points: Int
        /// Fewer steps than this would mean that the crashes are not where they should be.
        var leastSteps: Int
        var testDescription: String { name }
        var prepare: @Sendable (PointStore) async throws -> Void = { _ in }
        var act: @Sendable (Site, PointStore) async throws -> Void
        var done: @Sendable (Manifest) -> Bool
    }

    static let scenarios: [Scenario] = [
        Scenario(
            name: "first seal", points: 0, leastSteps: 8,
            act: { site, store in if await store.manifest.points.isEmpty { try await site.cycle(store, 1) } },
            done: { $0.points.map(\.number) == [1] }),
        Scenario(
            name: "later seal", points: 2, leastSteps: 8,
            act: { site, store in if await store.manifest.points.count == 2 { try await site.cycle(store, 3) } },
            done: { $0.points.map(\.number) == [1, 2, 3] }),
        Scenario(
            name: "merge of two layers", points: 5, leastSteps: 14,
            act: { _, store in
                await store.limitChain(3)
                try await store.retire(Set([2, 4].map(Site.generation)))
            },
            done: { $0.points.map(\.number) == [1, 3, 5] && $0.layers.isEmpty }),
        Scenario(
            name: "fold into the base", points: 6, leastSteps: 30,
            act: { _, store in try await store.keep(newest: 2) },
            done: {
                $0.points.map(\.number) == [5, 6] && $0.layers.map(\.number) == [1, 4]
                    && $0.layers.last?.isFolded == true
            }),
        Scenario(
            name: "fold of what came after a fold", points: 5, leastSteps: 14,
            prepare: { try await $0.keep(newest: 3) },
            act: { _, store in try await store.keep(newest: 1) },
            done: { $0.points.map(\.number) == [5] && $0.layers.map(\.number) == [1, 4] }),
        Scenario(
            name: "fork above a test VM's point", points: 5, leastSteps: 14,
            prepare: { _ = try await $0.bootOverlay(generation: Site.generation(3), epoch: 0) },
            act: { _, store in
                await store.limitChain(3)
                try await store.retire(Set([2, 3, 4].map(Site.generation)))
            },
            done: {
                $0.points.map(\.number) == [1, 5] && $0.layers.map(\.number).starts(with: [2, 3])
                    && $0.points.last?.over != Site.generation(4) && $0.boots.count == 1
            }),
        Scenario(
            name: "the end of a fork", points: 5, leastSteps: 12,
            prepare: { store in
                _ = try await store.bootOverlay(generation: Site.generation(3), epoch: 0)
                await store.limitChain(3)
                try await store.retire(Set([1, 2, 3, 4].map(Site.generation)))
            },
            act: { _, store in
                try await store.discardBoot(epoch: 0)
                try await store.retire([])
            },
            done: {
                $0.points.map(\.number) == [5] && $0.layers.count == 2 && $0.layers.last?.isFolded == true
                    && $0.boots.isEmpty
            }),
        Scenario(
            name: "boot overlay", points: 3, leastSteps: 6,
            act: { _, store in _ = try await store.bootOverlay(generation: Site.generation(2), epoch: 2) },
            done: { $0.boots.map(\.generation) == [Site.generation(2)] }),
        Scenario(
            name: "commit to an older point", points: 5, leastSteps: 6,
            prepare: { _ = try await $0.bootOverlay(generation: Site.generation(3), epoch: 2) },
            act: { _, store in
                try await store.dropAllBut(Site.generation(3))
                try await store.clearMaps()
            },
            done: { $0.points.map(\.number) == [3] && $0.layers.map(\.number) == [1, 2] && $0.retainedMaps.isEmpty }),
    ]

    @Test("at every step", arguments: scenarios)
    func everyStep(_ scenario: Scenario) async throws {
        let site = try Site(seed: 77, sizes: ["vda": (2 << 20) + 512, "vdb": 512 * 3])
        let first = try site.open()
        for number in 0..<scenario.points { try await site.cycle(first, number + 1) }
        try await scenario.prepare(first)
        await first.close()
        let disks = site.disks.mapValues { Data($0.bytes) }
        let generator = site.generator

        var step = 0
        while true {
            let root = site.scratch("crash-\(step)")
            try FileManager.default.copyItem(atPath: site.root, toPath: root)
            // Each attempt starts from the same disks and makes the same changes.
            for (target, data) in disks { data.withUnsafeBytes { site.disks[target]?.bytes.copyMemory(from: $0) } }
            site.generator = generator
            let crash = CrashAt(step: step)
            let store = try site.open(root: root, hook: { try crash.hit($0) })
            var crashed: StoreStep?
            do { try await scenario.act(site, store) } catch let error as SimulatedCrash { crashed = error.step }
            await store.close()

            let again = try site.open(root: root)
            // The checksums of a merger that is in place are known with the record of it.
            try await site.verify(again, allRecorded: false)
            for (target, data) in disks { data.withUnsafeBytes { site.disks[target]?.bytes.copyMemory(from: $0) } }
            site.generator = generator
            _ = try await again.collectGarbage()
            try await site.verify(again, allRecorded: false)
            try await scenario.act(site, again)
            let manifest = await again.manifest
            #expect(scenario.done(manifest), "after a stop at step \(step), \(crashed?.rawValue ?? "none")")
            try await site.verify(again)
            // Beyond leftovers of the stop itself, which a collection takes away, nothing remains.
            _ = try await again.collectGarbage()
            #expect(try storeFiles(again) == (await again.manifestFiles))
            await again.close()
            try FileManager.default.removeItem(atPath: root)
            guard crashed != nil else { break }
            step += 1
        }
        #expect(step >= scenario.leastSteps)
    }
}
