import Foundation
import SiteModel
import TestSupport
import Testing

@testable import BlockReplication

@Suite("A store keeps whole points and nothing else")
struct StoreTests {
    typealias Site = StoreSite

    @Test("points are sealed one on the other, survive a reopen and read as the disks did")
    func sealAndReopen() async throws {
        let site = try Site(seed: 1)
        let store = try site.open()
        for number in 1...4 { try await site.cycle(store, number) }
        try await site.verify(store)
        let manifest = await store.manifest
        #expect(manifest.points.map(\.number) == [1, 2, 3, 4])
        #expect(manifest.points.map(\.parent) == [nil, 1, 2, 3].map { $0.map(Site.generation) })
        #expect(manifest.points.map { $0.disks.first { $0.target == "vda" }?.checksum } == ["c1", "c2", "c3", "c4"])
        #expect(try await store.collectGarbage() == [])
        await store.close()

        let attributes = try FileManager.default.attributesOfItem(atPath: store.path + "/manifest.json")
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        #expect(try PointStore.relationships(root: site.root) == [Site.relationship])
        #expect(try PointStore.readManifest(root: site.root, relationship: Site.relationship) == manifest)
        let again = try PointStore.open(root: site.root, relationship: Site.relationship)
        #expect(await again.manifest == manifest)
        try await site.verify(again)
    }

    @Test("a point is refused unless it stands on the newest one, with the same disks, under a new generation")
    func refusedPoints() async throws {
        let site = try Site(seed: 2)
        let store = try site.open()
        try await site.cycle(store, 1)
        try await site.cycle(store, 2)
        let before = await store.manifest
        let one = Site.generation(1)
        let two = Site.generation(2)
        let three = Site.generation(3)
        let cases: [(ReplicationError.Code, String, String?, [DiskPlan])] = [
            (.staleParent, three, one, site.plans),
            (.staleParent, three, nil, site.plans),
            (.staleParent, three, Site.generation(9), site.plans),
            (.invalidArgument, two, two, site.plans),
            (.invalidArgument, "../../etc/passwd", two, site.plans),
            (.invalidArgument, three, two, []),
            (.invalidArgument, three, two, site.plans + site.plans),
            (.invalidArgument, three, two, [DiskPlan(target: "../a", size: 512)]),
            (.invalidArgument, three, two, [DiskPlan(target: "vda", size: 100)]),
            (.invalidArgument, three, two, site.plans + [DiskPlan(target: "vda", size: 512)]),
        ]
        for (code, generation, parent, plans) in cases {
            let error = await #expect(throws: ReplicationError.self) {
                _ = try await store.beginPoint(generation: generation, parent: parent, disks: plans)
            }
            #expect(error?.code == code)
        }
        #expect(await store.manifest == before)
        #expect(try await store.collectGarbage() == [])
    }

    @Test("one draft at a time; an abandoned one leaves nothing; sealing twice gives the same point")
    func drafts() async throws {
        let site = try Site(seed: 3)
        let store = try site.open()
        try await site.cycle(store, 1)
        let files = try storeFiles(store)
        let parent = Site.generation(1)
        let draft = try await store.beginPoint(generation: Site.generation(2), parent: parent, disks: site.plans)
        let busy = await #expect(throws: ReplicationError.self) {
            _ = try await store.beginPoint(generation: Site.generation(3), parent: parent, disks: site.plans)
        }
        #expect(busy?.code == .busy)
        #expect(try await store.collectGarbage() == [], "an open draft's files are not rubbish")
        try await draft.abandon()
        #expect(try storeFiles(store) == files)
        await #expect(throws: ReplicationError.self) { _ = try await site.seal(draft, 2) }

        let second = try await store.beginPoint(generation: Site.generation(4), parent: parent, disks: site.plans)
        try site.change(4, second)
        let record = try await site.seal(second, 4)
        #expect(try await site.seal(second, 4) == record)
        #expect(await store.manifest.points.count == 2)
        try await site.verify(store)
    }

    @Test("a store is open in one place at a time")
    func exclusive() async throws {
        let site = try Site(seed: 4)
        let store = try site.open()
        let error = #expect(throws: ReplicationError.self) { _ = try site.open() }
        #expect(error?.code == .busy)
        await store.close()
        let second = try site.open()
        let closed = await #expect(throws: ReplicationError.self) { try await store.claim(owner: "x", epoch: 9) }
        #expect(closed?.code == .invalidArgument)
        try await second.claim(owner: "recovery", epoch: 2)
    }

    @Test("ownership only moves forward")
    func ownership() async throws {
        let site = try Site(seed: 5)
        let store = try site.open()
        try await store.claim(owner: "recovery", epoch: 2)
        try await store.claim(owner: "recovery", epoch: 2)
        for (owner, epoch) in [("primary", 1), ("primary", 2)] {
            let error = await #expect(throws: ReplicationError.self) {
                try await store.claim(owner: owner, epoch: epoch)
            }
            #expect(error?.code == .staleEpoch)
        }
        #expect(await store.manifest.owner == "recovery")
    }

    @Test(
        "names that could leave the directory are refused", arguments: ["", ".", "..", "a/b", "-a", "a b", "é", "a\0b"])
    func relationshipNames(_ name: String) throws {
        let scratch = try Scratch()
        let error = #expect(throws: ReplicationError.self) {
            _ = try PointStore.openOrCreate(
                root: scratch.path, Manifest(relationship: name, vmName: "x", vmUUID: "u", epoch: 1, owner: "a"))
        }
        #expect(error?.code == .invalidArgument)
    }

    @Test("a manifest that is damaged, changed by hand or from a later version is refused and not touched")
    func badManifests() async throws {
        let site = try Site(seed: 6)
        let store = try site.open()
        try await site.cycle(store, 1)
        await store.close()
        let path = store.path + "/manifest.json"
        let good = try String(contentsOfFile: path, encoding: .utf8)
        let bad: [(String, ReplicationError.Code)] = [
            ("", .damaged), ("{", .damaged), ("[]", .damaged),
            (good.replacingOccurrences(of: "\"formatVersion\" : 1", with: "\"formatVersion\" : 2"), .unsupported),
            (good.replacingOccurrences(of: "base-vda.raw", with: "../base-vda.raw"), .damaged),
            (good.replacingOccurrences(of: "base-vda.raw", with: "/etc/passwd"), .damaged),
            (good.replacingOccurrences(of: Site.generation(1), with: "1"), .damaged),
            (good.replacingOccurrences(of: "\"vdb\"", with: "\"vdc/..\""), .damaged),
        ]
        for (text, code) in bad {
            #expect(text != good)
            try text.write(toFile: path, atomically: false, encoding: .utf8)
            let error = #expect(throws: ReplicationError.self) { _ = try site.open() }
            #expect(error?.code == code)
            #expect(try String(contentsOfFile: path, encoding: .utf8) == text)
        }
    }

    @Test("rubbish goes; pinned files, foreign files and directories stay")
    func garbage() async throws {
        let site = try Site(seed: 7)
        let store = try site.open()
        try await site.cycle(store, 1)
        let files = try storeFiles(store)
        for name in ["old.qcow2", "x.part", "y.map", "pinned.raw", "agent.json"] {
            try Data("x".utf8).write(to: URL(fileURLWithPath: store.path + "/" + name))
        }
        try FileManager.default.createDirectory(atPath: store.path + "/dir.raw", withIntermediateDirectories: false)
        #expect(try await store.collectGarbage(pinned: ["pinned.raw"]) == ["old.qcow2", "x.part", "y.map"])
        #expect(try storeFiles(store) == files.union(["pinned.raw", "agent.json", "dir.raw"]))
    }

    @Test("a relationship that ends leaves no file, boot overlays that nobody uses included")
    func destroy() async throws {
        let site = try Site(seed: 8)
        let store = try site.open()
        for number in 1...3 { try await site.cycle(store, number) }
        _ = try await store.bootOverlay(generation: Site.generation(2), epoch: 2)
        _ = try await store.bootOverlay(generation: Site.generation(3), epoch: 0)
        try await store.destroy()
        #expect(try storeFiles(store) == [])
    }
}
