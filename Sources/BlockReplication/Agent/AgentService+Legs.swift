import SiteModel

/// First copies in legs, at their target.
extension AgentService {
    /// Makes ready to receive a leg; nil where points are built on something that is there already.
    func openLeg(_ request: OpenPoint, in store: PointStore) async throws -> PointTicket? {
        let manifest = await store.manifest
        guard request.inLegs == true, request.previous == nil, manifest.points.isEmpty, manifest.disks.isEmpty else {
            return nil
        }
        let (draft, base) = try await store.beginLeg(
            generation: request.generation,
            disks: request.disks.map { DiskPlan(target: $0.target, size: $0.size) })
        let point = try IncomingPoint(
            relationship: request.relationship, generation: request.generation, draft: draft,
            disks: draft.writers.mapValues { writer in
                // Where nothing is known of what changed, what lies below the frontier is compared with the base itself.
                IncomingPoint.Disk(writer: writer, newest: DiskImage(path: writer.path, format: "raw"))
            })
        incoming.put(point)
        var ticket = ticket(point)
        (ticket.base, ticket.held) = (base, [])
        return ticket
    }

    package func endLeg(_ request: EndLeg) async throws {
        try await gate.pass(request.relationship) {
            guard let point = incoming[request.relationship], point.generation == request.generation else {
                throw ReplicationError(
                    .notFound, "leg \(request.generation) is not being received here",
                    hint: "open the leg and send it again; earlier legs are intact")
            }
            guard try point.checksums() == request.checksums else {
                throw ReplicationError(
                    .checksumMismatch, "what was received is not what the sender says it sent",
                    hint: "open the leg and send it again", context: ["generation": request.generation])
            }
            let isWhole = try await stores.required(request.relationship).endLeg(point.draft, request)
            // A whole copy stays open, to be sealed.
            if !isWhole { incoming.remove(point) }
        }
    }

    /// Throws away a first copy that is not whole, and what is being received of it.
    func dropGrowing(_ relationship: String) async throws {
        guard let store = try await stores.existing(relationship), await store.manifest.growing != nil else { return }
        if let point = incoming[relationship] {
            await Self.end(point, ReplicationError.givenUp)
            incoming.remove(point)
        }
        try await store.dropGrowing()
    }
}
