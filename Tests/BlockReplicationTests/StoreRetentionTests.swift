import Foundation
import Synchronization
import Testing

@testable import BlockReplication

@Suite("Retention merges layers away and changes no point")
struct StoreRetentionTests {
    typealias Site = StoreSite

    @Test(
        "retired points between kept ones leave layers in one gap at most",
        arguments: [[2], [3], [2, 3], [2, 4], [1, 3]])
    func between(_ retired: [Int]) async throws {
        let site = try Site(seed: UInt64(retired.reduce(0) { $0 * 10 + $1 }))
        let store = try site.open()
        for number in 1...5 { try await site.cycle(store, number) }
        try await store.retire(Set(retired.map(Site.generation)))
        try await site.verify(store)
        let manifest = await store.manifest
        #expect(manifest.points.map(\.number) == [1, 2, 3, 4, 5].filter { !retired.contains($0) })
        // The base is a layer once the first point is none; the youngest gap waits for more.
        let youngest = retired.filter { $0 > 1 }.max() ?? 0
        #expect(manifest.layers.map(\.number) == retired.filter { $0 == 1 || $0 == youngest })
        #expect(try await store.collectGarbage() == [])
        let newest = try #require(manifest.newest)
        let chain = try await store.chain(of: .point(newest.generation), target: "vda")
        #expect(chain.count == manifest.points.count + manifest.layers.count)
        #expect(try await QemuImg.backingChain(of: chain[0]) == chain)
        // A second call has nothing to do.
        try await store.retire(Set(retired.map(Site.generation)))
        #expect(await store.manifest == manifest)
    }

    @Test("after many cycles with few points kept, the chain stays short and the maps complete")
    func manyCycles() async throws {
        let site = try Site(seed: 20, sizes: ["vda": (3 << 20) + 1536])
        let store = try site.open()
        for number in 1...30 {
            try await site.cycle(store, number)
            try await store.keep(newest: 2)
            let manifest = await store.manifest
            #expect(manifest.points.map(\.number) == Array(max(1, number - 1)...number))
            // The base, and what was folded into it last.
            #expect(manifest.layers.count <= 2)
        }
        try await site.verify(store)
        #expect(try await store.collectGarbage() == [])
        let maps = try await store.maps(newerThan: Site.generation(29))
        #expect(maps == site.changes[Site.generation(30)])
    }

    @Test("maps of retired points live on in the point that took their place")
    func mergedMaps() async throws {
        let site = try Site(seed: 21)
        let store = try site.open()
        for number in 1...5 { try await site.cycle(store, number) }
        try await store.retire([Site.generation(3), Site.generation(4)])
        let maps = try await store.maps(newerThan: Site.generation(2))
        for target in ["vda", "vdb"] {
            let expected = (3...5).reduce(ExtentMap()) {
                $0.union(site.changes[Site.generation($1)]?[target] ?? ExtentMap())
            }
            #expect(maps[target] == expected)
        }
        // The next point ends the gap, and with it what was known of the third apart from the fourth.
        try await site.cycle(store, 6)
        try await site.cycle(store, 7)
        try await store.retire([Site.generation(6)])
        let gone = await #expect(throws: ReplicationError.self) {
            _ = try await store.maps(newerThan: Site.generation(3))
        }
        #expect(gone?.code == .notFound)
    }

    @Test("what a boot overlay or a pinned reader stands on is not merged; it is once they are gone")
    func pinned() async throws {
        let site = try Site(seed: 22)
        let store = try site.open()
        for number in 1...6 { try await site.cycle(store, number) }
        _ = try await store.bootOverlay(generation: Site.generation(3), epoch: 2, purpose: .test)
        try await store.retire(Set([2, 3, 5].map(Site.generation)), pinned: [Site.generation(6)])
        #expect(await store.manifest.layers.map(\.number) == [2, 3, 5])
        try await site.verify(store)
        // 5 alone is free now, and the youngest: it waits until the gap is over, or the chain too long.
        try await store.retire([])
        #expect(await store.manifest.layers.map(\.number) == [2, 3, 5])
        await store.limitChain(4)
        try await store.retire([])
        #expect(try await store.longest() == 4)
        #expect(await store.manifest.layers.map(\.number).starts(with: [2, 3]))
        try await site.verify(store)
        try await store.discardBoot(epoch: 2, purpose: .test)
        await store.limitChain(3)
        try await store.retire([])
        #expect(await store.manifest.layers.isEmpty)
        try await site.verify(store)
    }

    @Test("folding makes way for a call that waits, and goes on where it stopped")
    func makesWay() async throws {
        let site = try Site(seed: 24)
        let parts = Mutex(0)
        let store = try site.open { step in if step == .foldPart { parts.withLock { $0 += 1 } } }
        for number in 1...4 { try await site.cycle(store, number) }
        try await store.retire(Set([1, 2].map(Site.generation)), unless: { true })
        // The points are none at once; the first disk is in the base, the second is not.
        #expect(await store.manifest.points.map(\.number) == [3, 4])
        #expect(await store.manifest.layers.map(\.number) == [1, 2])
        #expect(await store.begunFold != nil)
        try await site.verify(store)
        try await store.retire([])
        #expect(parts.withLock { $0 } == 2, "each disk's table is folded once")
        #expect(await store.begunFold == nil)
        #expect(await store.manifest.layers.map(\.isFolded) == [nil, true])
        try await site.verify(store)
        #expect(try await store.collectGarbage() == [])
    }

    @Test("an overlay that names data behind its end is not folded as zeros")
    func cutShort() async throws {
        let site = try Site(seed: 25, sizes: ["vda": 6 << 20])
        let store = try site.open()
        for number in 1...3 { try await site.cycle(store, number) }
        let path = store.path + "/" + StoreNames.overlay(Site.generation(2), "vda")
        let layer = try OverlayReader(opening: path)
        let words = L2Buffer()
        try layer.load(0, into: words)
        let slot = try #require(words.words.indices.first { $0 % 2 == 1 && words.words[$0] & 0xFFFF_FFFF != 0 })
        // The tables lie last, so a file that was only cut would have none: let an entry name the last bytes.
        let file = try ImageFile(updating: path)
        let end = try file.length()
        var entry = (end | OverlayLayout.copied).bigEndian
        try withUnsafeBytes(of: &entry) { try file.write($0, at: layer.l1[0] + UInt64(slot - 1) * 8) }
        try file.truncate(to: end + 512)
        try await store.retire(Set([1, 2].map(Site.generation)))
        let manifest = await store.manifest
        #expect(manifest.layers.contains { $0.number == 2 && $0.isFolded == nil })
        #expect(manifest.damage?.contains { $0.generation == Site.generation(2) } == true)
    }

    @Test("the newest point is never retired, and one is always kept")
    func newest() async throws {
        let site = try Site(seed: 23)
        let store = try site.open()
        for number in 1...2 { try await site.cycle(store, number) }
        for attempt in 0..<2 {
            let error = await #expect(throws: ReplicationError.self) {
                if attempt == 0 {
                    try await store.retire([Site.generation(2)])
                } else {
                    try await store.keep(newest: 0)
                }
            }
            #expect(error?.code == .invalidArgument)
        }
        #expect(await store.manifest.points.count == 2)
    }
}
