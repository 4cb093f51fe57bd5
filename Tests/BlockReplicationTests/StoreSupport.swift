import Foundation
import Glibc
import SiteModel
import TestSupport
import Testing

@testable import BlockReplication

/// What a test throws from a step to end an operation there, as a crash would.
struct SimulatedCrash: Error {
    var step: StoreStep
}

/// Ends the operation at the n-th step from now on.
final class CrashAt: @unchecked Sendable {  // guarded by `lock`
    private let lock = NSLock()
    private var left: Int?

    init(step: Int?) { left = step }

    func hit(_ step: StoreStep) throws {
        try lock.withLock {
            guard let now = left else { return }
            left = now - 1
            if now == 0 { throw SimulatedCrash(step: step) }
        }
    }
}

/// A site with one relationship, and what each of its generations must read as.
///
/// One test uses it, one call at a time.
final class StoreSite: @unchecked Sendable {
    let scratch: Scratch
    let root: String
    var disks: [String: ReferenceDisk] = [:]
    var generator: SeededGenerator
    /// Raw reference files by generation and target.
    var references: [String: [String: String]] = [:]
    /// What each generation changed.
    var changes: [String: [String: ExtentMap]] = [:]
    static let relationship = "rel-1"

    init(
        seed: UInt64, sizes: [String: Int] = ["vda": (6 << 20) + 512, "vdb": 1 << 20], root: String? = nil
    ) throws {
        scratch = try Scratch()
        self.root = root ?? scratch("store")
        generator = SeededGenerator(seed: seed)
        for (target, size) in sizes { disks[target] = ReferenceDisk(size: size) }
    }

    static func generation(_ number: Int) -> String {
        String(format: "00000000-0000-4000-8000-%012d", number)
    }

    var plans: [DiskPlan] { disks.map { DiskPlan(target: $0.key, size: $0.value.size) } }

    func open(root: String? = nil, hook: @escaping StoreStepHook = { _ in }) throws -> PointStore {
        try PointStore.openOrCreate(
            root: root ?? self.root,
            Manifest(relationship: Self.relationship, vmName: "orders", vmUUID: "u", epoch: 1, owner: "primary"),
            hook: hook)
    }

    /// Changes the disks, and keeps what they now read as under the generation's name.
    func change(_ number: Int, _ draft: PointDraft, count: Int = 25, longest: UInt64 = 40) throws {
        let generation = Self.generation(number)
        var files: [String: String] = [:]
        var touched: [String: ExtentMap] = [:]
        for (target, disk) in disks.sorted(by: { $0.key < $1.key }) {
            let writer = try #require(draft.writers[target])
            touched[target] = try disk.change(count, longest: longest, &generator, to: [writer])
            let path = scratch("\(generation)-\(target).reference")
            unlink(path)
            try disk.save(path)
            files[target] = path
        }
        references[generation] = files
        changes[generation] = touched
    }

    func cycle(_ store: PointStore, _ number: Int) async throws {
        let parent = await store.manifest.newest?.generation
        let draft = try await store.beginPoint(generation: Self.generation(number), parent: parent, disks: plans)
        try change(number, draft)
        _ = try await seal(draft, number)
    }

    func seal(_ draft: PointDraft, _ number: Int) async throws -> RecoveryPointRecord {
        try await draft.seal(
            domainXML: "<domain>\(number)</domain>", kind: .crashConsistent,
            time: Timestamp(milliseconds: Int64(number) * 1000), checksums: ["vda": "c\(number)"])
    }

    /// Every point and boot overlay of the manifest is sound and reads as its reference, in the eyes of qemu-img.
    func verify(_ store: PointStore, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let manifest = await store.manifest
        for point in manifest.points {
            #expect(
                try await store.domainXML(point.generation) == "<domain>\(point.time.milliseconds / 1000)</domain>",
                sourceLocation: sourceLocation)
            for disk in point.disks {
                let layer = ImageLayer(path: store.path + "/" + disk.file, format: disk.format)
                try await compare(layer, point.generation, disk.target, sourceLocation)
            }
        }
        for boot in manifest.boots {
            for disk in boot.disks {
                let layer = ImageLayer(path: store.path + "/" + disk.file, format: .qcow2)
                try await compare(layer, boot.generation, disk.target, sourceLocation)
            }
        }
        let found = try await store.checkAll()
        #expect(found.wrong.isEmpty, "\(found.wrong)", sourceLocation: sourceLocation)
        if !manifest.disks.contains(where: \.base.external) {
            #expect(found.unrecorded.isEmpty, "without checksums", sourceLocation: sourceLocation)
        }
    }

    private func compare(
        _ layer: ImageLayer, _ generation: String, _ target: String, _ sourceLocation: SourceLocation
    ) async throws {
        let reference = try #require(references[generation]?[target])
        try await QemuImg.check(layer)
        let same = try await QemuImg.haveSameContent(layer, ImageLayer(path: reference, format: .raw))
        #expect(same, "\(target) of \(generation) reads differently", sourceLocation: sourceLocation)
    }
}

extension PointStore {
    /// Keeps chains shorter than in earnest.
    func limitChain(_ layers: Int) { longestChain = layers }

    /// Reads all points against their checksums, and records nothing.
    func checkAll() async throws -> (wrong: [PointCheck.Wrong], unrecorded: [String: UInt64]) {
        let check = try beginCheck(nil)
        let wrong = try await check.run(interrupt: try Interrupt()) { _ in }.wrong
        try endCheck(check, wrong: nil)
        return (wrong, check.unrecorded.filter { $0.value > 0 })
    }

    /// The same, and what is found is recorded.
    func checkAndRecord(_ generations: [String]? = nil) async throws {
        let check = try beginCheck(generations)
        let wrong = try await check.run(interrupt: try Interrupt()) { _ in }.wrong
        try endCheck(check, wrong: wrong)
    }

    /// Numbers of the points that are known to be damaged.
    func damaged() throws -> [Int] {
        try manifest.points.filter { try damage(of: $0.generation) != nil }.map(\.number)
    }

    /// Layers of the longest chain among the points', as the files themselves name them.
    func longest() async throws -> Int {
        var most = 0
        for point in manifest.points {
            for disk in point.disks {
                most = max(most, try await chain(of: .point(point.generation), target: disk.target).count)
            }
        }
        return most
    }
}

/// Names in a relationship's directory.
func storeFiles(_ store: PointStore) throws -> Set<String> {
    Set(try FileManager.default.contentsOfDirectory(atPath: store.path))
}
