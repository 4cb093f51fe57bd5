import SiteModel
import TestSupport
import Testing

@testable import BlockReplication

@Suite("A store that stops at any step of a first copy in legs goes on with what counts")
struct StoreLegTests {
    private static let size: UInt64 = 1 << 20
    private static let plans = ["vda", "vdb"].map { DiskPlan(target: $0, size: size) }

    /// Writes a leg of 256 KiB a disk, and makes it count.
    private func leg(_ store: PointStore, _ number: Int) async throws -> (PointDraft, Bool) {
        let (draft, base) = try await store.beginLeg(generation: StoreSite.generation(number), disks: Self.plans)
        var frontiers: [String: UInt64] = [:]
        for disk in base.disks {
            let end = min(disk.frontier + (256 << 10), disk.size)
            if end > disk.frontier {
                let bytes = [UInt8](repeating: UInt8(disk.frontier >> 18) + 1, count: Int(end - disk.frontier))
                try bytes.withUnsafeBytes { try draft.writers[disk.target]?.write($0, at: disk.frontier) }
            }
            frontiers[disk.target] = end
        }
        let isWhole = try await store.endLeg(
            draft,
            EndLeg(
                relationship: StoreSite.relationship, generation: draft.generation, checksums: [:],
                frontiers: frontiers, bytes: 1, checkpoint: nil))
        return (draft, isWhole)
    }

    private func copy(_ store: PointStore, from number: Int) async throws {
        var number = number
        while await store.manifest.points.isEmpty {
            let (draft, isWhole) = try await leg(store, number)
            if isWhole {
                _ = try await draft.seal(
                    domainXML: "<domain/>", kind: .initial, time: Timestamp(milliseconds: 1), number: 1)
            }
            number += 1
        }
    }

    @Test("at every step, also between the renames of two disks")
    func everyStep() async throws {
        var crashes = 0
        while true {
            let scratch = try Scratch()
            defer { scratch.remove() }
            let fresh = Manifest(
                relationship: StoreSite.relationship, vmName: "vm", vmUUID: "uuid", epoch: 1, owner: "a")
            let crash = CrashAt(step: crashes)
            let store = try PointStore.openOrCreate(root: scratch("store"), fresh) { try crash.hit($0) }
            do {
                try await copy(store, from: 1)
                break
            } catch is SimulatedCrash {
                crashes += 1
            }
            let counted = await store.manifest.growing
            await store.close()
            let again = try PointStore.openOrCreate(root: scratch("store"), fresh)
            _ = try await again.collectGarbage()
            if await again.manifest.points.isEmpty, let counted {
                #expect(await again.manifest.growing?.legs ?? 0 >= counted.legs, "after \(crashes) steps")
            }
            try await copy(again, from: 100)
            #expect(await again.manifest.growing == nil)
            for plan in Self.plans {
                let file = try ImageFile(reading: again.path + "/base-\(plan.target).raw")
                var bytes = [UInt8](repeating: 0, count: Int(Self.size))
                try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
                let wanted = (0..<4).flatMap { [UInt8](repeating: UInt8($0 + 1), count: 256 << 10) }
                #expect(bytes == wanted, "\(plan.target) after \(crashes) steps")
            }
            #expect(try await again.collectGarbage() == [])
            await again.close()
        }
        #expect(crashes > 15)
    }
}
