import BlockReplication
import Hypervisors
import SiteModel
import Synchronization

/// One site of a `FakeWorld`, as its agent shows it.
struct FakeAgent: Agent {
    let world: FakeWorld
    let site: String

    private func site<Result>(_ body: (inout FakeWorld.Site) throws -> sending Result) throws -> sending Result {
        try world.change(site) { site in
            guard site.isUp else {
                throw ReplicationError(
                    .disconnected, "the agent of site \(self.site) does not answer", hint: "start it")
            }
            return try body(&site)
        }
    }

    private func summary(_ point: FakeWorld.Point) -> PointSummary {
        PointSummary(
            generation: point.generation, previous: point.previous, number: point.number, cause: point.cause,
            at: point.at, bytes: 4096)
    }

    func status() async throws -> AgentStatus {
        try site { _ in AgentStatus(site: site, version: "0", processID: 1, store: "/points", freeBytes: 1 << 40) }
    }

    func recordOwnership(_ record: OwnershipRecord) async throws {
        try site { $0.ownership[record.relationship] = record }
    }

    func ownership(relationship: String) async throws -> OwnershipRecord? {
        try site { $0.ownership[relationship] }
    }

    func standings() async throws -> [OwnershipStanding] {
        try site { $0.ownership.values.map { OwnershipStanding(record: $0, isConfirmed: true) } }
    }

    func forgetOwnership(relationship: String) async throws { try site { $0.ownership[relationship] = nil } }

    func attend(_ vault: VaultStanding) async throws {
        try site { site in
            try site.vaults[vault.id]?.admit(vault)
            site.vaults[vault.id] = vault
        }
    }

    func keepVault(_ part: VaultPart) async throws { try await attend(part.vault) }

    func check(_ request: AgentCheck) async throws -> AgentCheckAnswer {
        throw ReplicationError(.unsupported, "nobody looks at this host", hint: "check a simulated one")
    }

    func openPoint(_ request: OpenPoint) async throws -> PointTicket {
        try site { $0.receiving[request.generation] = request.vm.uuid }
        return PointTicket(
            relationship: request.relationship, generation: request.generation, token: "00", address: site)
    }

    func sealPoint(_ request: SealPoint) async throws -> PointSummary {
        try site { site in
            let earlier = site.points[request.relationship]?.last?.generation
            let point = FakeWorld.Point(
                generation: request.generation, previous: earlier, number: request.number, cause: request.cause,
                at: request.at, xml: request.domainXML, records: site.received[request.generation] ?? -1)
            site.points[request.relationship, default: []].append(point)
            return summary(point)
        }
    }

    func openExport(_ request: ExportPoint) async throws -> PointTicket { try await openPoint(request.point) }

    /// Takes in what any site has exported: whoever carries it is quick.
    func importPoint(_ request: ImportPoint) async throws -> PointSummary {
        let carried = world.sites.withLock { sites in
            sites.values.compactMap { $0.points[request.relationship]?.first { $0.generation == request.generation } }
        }
        guard let point = carried.first else {
            throw ReplicationError(.damaged, "no such copy in \(request.folder)", hint: "carry it")
        }
        return try site { site in
            site.points[request.relationship] = [point]
            return summary(point)
        }
    }

    func endLeg(_ request: EndLeg) async throws {}
    func abandonPoint(relationship: String, generation: String) async throws {}
    func points(relationship: String) async throws -> [PointSummary] {
        try site { $0.points[relationship, default: []].map(summary) }
    }

    func keepPoints(relationship: String, keeping: [String], pinned: [String]) async throws -> [PointSummary] {
        try site { site in
            let points = site.points[relationship, default: []]
            let retired = try PointsToRetire.of(points.map(\.generation), keeping: keeping, pinned: pinned)
            let kept = points.filter { !retired.contains($0.generation) }
            site.points[relationship] = kept
            return kept.map(summary)
        }
    }

    func dropPoints(relationship: String, allBut generation: String) async throws {
        try site { $0.points[relationship]?.removeAll { $0.generation != generation } }
    }

    func domainXML(relationship: String, generation: String) async throws -> String {
        try site { $0.points[relationship]?.first { $0.generation == generation }?.xml ?? "" }
    }

    func forget(relationship: String) async throws {
        try site { site in
            site.points[relationship] = nil
            site.ownership[relationship] = nil
        }
    }

    func createBootImages(relationship: String, generation: String, epoch: Int) async throws -> [BootImage] {
        try site { site in
            let path = "/points/\(relationship)/boot-\(epoch).qcow2"
            let point = site.points[relationship]?.first { $0.generation == generation }
            if site.disks[path] == nil { site.disks[path] = point?.records }
            return [BootImage(target: "vda", chain: [DiskImage(path: path, format: "qcow2")])]
        }
    }

    func writeSeed(_ seed: GuestSeed) async throws -> String { "/points/seed.iso" }
    func discardBootImages(relationship: String, epoch: Int) async throws {
        try site { $0.disks["/points/\(relationship)/boot-\(epoch).qcow2"] = nil }
    }

    func adoptDisks(relationship: String, vm: VMIdentity, disks: [AdoptedDisk]) async throws {
        try site { $0.points[relationship] = [] }
    }

    func settleDisks(relationship: String, disks: [AdoptedDisk]) async throws {}

    func sendPoint(
        _ request: SendPoint, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> TransferSummary {
        let target = FakeAgent(world: world, site: request.ticket.address)
        let uuid = try target.site { $0.receiving[request.ticket.generation] ?? "" }
        let records = try site { site -> Int in
            if case .image(let image)? = request.disks.first?.from { return site.disks[image.path] ?? -1 }
            return site.guests[uuid]?.records ?? -1
        }
        try target.site { $0.received[request.ticket.generation] = records }
        return TransferSummary(bytes: 4096, scanned: 4096, seconds: 0.01, checksums: ["vda": "00"], differing: 0)
    }

    func changedExtents(image: DiskImage, bitmap: String) async throws -> [ByteRange]? { [] }
    func extentsNewer(relationship: String, than generation: String) async throws -> [String: [ByteRange]] { [:] }

    func probe(_ request: HTTPProbe) async throws -> HTTPProbeResult {
        try site { site in
            let name = FakeWorld.addresses.first { $0.value == request.host }?.key
            guard let uuid = site.guests.first(where: { $0.value.name == name && $0.value.power == .running })?.key,
                request.path == "/"
            else {
                throw ReplicationError(.timedOut, "no answer from \(request.host)", hint: "ask again")
            }
            site.guests[uuid]?.records += 3
            let guest = site.guests[uuid]
            let body = """
                {"host":"\(name ?? "")","records":\(guest?.records ?? 0),"boot_records":\(guest?.boot ?? 0),\
                "intact":true,"error":"","up_s":1.5}
                """
            return HTTPProbeResult(status: 200, body: body)
        }
    }
}
