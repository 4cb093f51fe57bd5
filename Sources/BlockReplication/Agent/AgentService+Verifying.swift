import Foundation
package import SiteModel

extension AgentService {
    package func checkPoints(
        _ request: CheckPoints, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> CheckedPoints {
        let store = try await stores.required(request.relationship)
        let began = ContinuousClock.now
        var differing: [String: ExtentMap]?
        var wanted = request.generations
        if let replacement = request.replacedBy {
            let found = try await store.replaced(by: replacement)
            (wanted, differing) = ([found.generation], found.maps)
        }
        let check = try await store.beginCheck(wanted, only: differing)
        let interrupt = try Interrupt()
        do {
            let (wrong, bytes) = try await check.run(interrupt: interrupt, progress: progress)
            try await store.endCheck(check, wrong: wrong, differing: differing ?? [:])
            return CheckedPoints(
                points: try await store.summaries(), bytes: bytes,
                unrecorded: check.unrecorded.filter { $0.value > 0 },
                seconds: (ContinuousClock.now - began) / .seconds(1))
        } catch {
            try? await store.endCheck(check, wrong: nil)
            throw Task.isCancelled ? ReplicationError.givenUp : error
        }
    }

    package func divergence(_ request: DivergenceRequest) async throws -> Divergence? {
        guard let store = try await stores.existing(request.relationship) else { return nil }
        switch request.action {
        case .note(let epoch, let at, let ranges):
            return try await gate.pass(request.relationship) {
                try await store.noteDivergence(epoch: epoch, at: at, ranges: ranges)
                return try await store.divergence()?.answer
            }
        case .list:
            return try await store.divergence()?.answer
        case .discard:
            return try await gate.pass(request.relationship) {
                try await store.discardDivergence()
                return nil
            }
        case .export(let folder):
            guard let found = try await store.divergence() else { return nil }
            let interrupt = try Interrupt()
            return try await onThread("agent-diverged", interrupt: interrupt) {
                try DivergenceExport(found, folder: folder, interrupt: interrupt).run()
            }
        }
    }
}

extension PointStore {
    /// The points with what is known of each, oldest first.
    func summaries() throws -> [PointSummary] {
        try manifest.points.map { record in
            var summary = PointSummary(record)
            summary.damage = try damage(of: record.generation)
            return summary
        }
    }

    /// The point that a point stands on, and what the one above has in place of it, by disk.
    func replaced(by generation: String) throws -> (generation: String, maps: [String: ExtentMap]) {
        let point = try requirePoint(generation)
        guard let below = point.over.flatMap({ manifest.point($0) }) else {
            throw ReplicationError(
                .notFound, "no point lies beneath point \(point.number)", hint: "verify the VM again",
                context: ["generation": generation])
        }
        var maps: [String: ExtentMap] = [:]
        for disk in below.disks {
            // What was added or has grown since differs from nothing.
            guard let above = point.disks.first(where: { $0.target == disk.target }), above.isWhole != true else {
                continue
            }
            maps[disk.target] = try readMap(above.map).clipped(to: manifest.size(of: disk) ?? .max)
        }
        return (below.generation, maps)
    }
}
