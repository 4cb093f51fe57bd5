import BlockReplication
import SiteModel

/// An agent in the hands of one job's driver: looking is free, changing needs the lease.
struct LeasedAgent: Agent {
    let wrapped: any Agent
    let lease: JobLease

    func status() async throws -> AgentStatus {
        try await wrapped.status()
    }

    func recordOwnership(_ record: OwnershipRecord) async throws {
        try await lease.require()
        try await wrapped.recordOwnership(record)
    }

    func ownership(relationship: String) async throws -> OwnershipRecord? {
        try await wrapped.ownership(relationship: relationship)
    }

    func standings() async throws -> [OwnershipStanding] {
        try await wrapped.standings()
    }

    func forgetOwnership(relationship: String) async throws {
        try await lease.require()
        try await wrapped.forgetOwnership(relationship: relationship)
    }

    func attend(_ vault: VaultStanding) async throws { try await wrapped.attend(vault) }
    func keepVault(_ part: VaultPart) async throws { try await wrapped.keepVault(part) }

    func openPoint(_ request: OpenPoint) async throws -> PointTicket {
        try await lease.require()
        return try await wrapped.openPoint(request)
    }

    func sealPoint(_ request: SealPoint) async throws -> PointSummary {
        try await lease.require()
        return try await wrapped.sealPoint(request)
    }

    func endLeg(_ request: EndLeg) async throws {
        try await lease.require()
        try await wrapped.endLeg(request)
    }

    func abandonPoint(relationship: String, generation: String) async throws {
        try await lease.require()
        try await wrapped.abandonPoint(relationship: relationship, generation: generation)
    }

    func points(relationship: String) async throws -> [PointSummary] {
        try await wrapped.points(relationship: relationship)
    }

    func keepPoints(relationship: String, keeping: [String], pinned: [String]) async throws -> [PointSummary] {
        try await lease.require()
        return try await wrapped.keepPoints(relationship: relationship, keeping: keeping, pinned: pinned)
    }

    func dropPoints(relationship: String, allBut generation: String) async throws {
        try await lease.require()
        try await wrapped.dropPoints(relationship: relationship, allBut: generation)
    }

    func checkPoints(_ request: CheckPoints, progress: @escaping @Sendable (TransferProgress) -> Void) async throws
        -> CheckedPoints
    {
        try await lease.require()
        return try await wrapped.checkPoints(request, progress: progress)
    }

    func divergence(_ request: DivergenceRequest) async throws -> Divergence? {
        try await lease.require()
        return try await wrapped.divergence(request)
    }

    func domainXML(relationship: String, generation: String) async throws -> String {
        try await wrapped.domainXML(relationship: relationship, generation: generation)
    }

    func forget(relationship: String) async throws {
        try await lease.require()
        try await wrapped.forget(relationship: relationship)
    }

    func openExport(_ request: ExportPoint) async throws -> PointTicket {
        try await lease.require()
        return try await wrapped.openExport(request)
    }

    func importPoint(_ request: ImportPoint) async throws -> PointSummary {
        try await lease.require()
        return try await wrapped.importPoint(request)
    }

    func createBootImages(relationship: String, generation: String, epoch: Int) async throws -> [BootImage] {
        try await lease.require()
        return try await wrapped.createBootImages(relationship: relationship, generation: generation, epoch: epoch)
    }

    func discardBootImages(relationship: String, epoch: Int) async throws {
        try await lease.require()
        try await wrapped.discardBootImages(relationship: relationship, epoch: epoch)
    }

    func firmware(_ place: FirmwarePlace) async throws -> FirmwareState { try await wrapped.firmware(place) }

    func placeFirmware(_ request: FirmwarePlacement) async throws -> PlacedFirmware {
        try await lease.require()
        return try await wrapped.placeFirmware(request)
    }

    func writeSeed(_ seed: GuestSeed) async throws -> String {
        try await lease.require()
        return try await wrapped.writeSeed(seed)
    }

    func adoptDisks(relationship: String, vm: VMIdentity, disks: [AdoptedDisk]) async throws {
        try await lease.require()
        try await wrapped.adoptDisks(relationship: relationship, vm: vm, disks: disks)
    }

    func settleDisks(relationship: String, disks: [AdoptedDisk]) async throws {
        try await lease.require()
        try await wrapped.settleDisks(relationship: relationship, disks: disks)
    }

    func sendPoint(_ request: SendPoint, progress: @escaping @Sendable (TransferProgress) -> Void) async throws
        -> TransferSummary
    {
        try await lease.require()
        return try await wrapped.sendPoint(request, progress: progress)
    }

    func changedExtents(image: DiskImage, bitmap: String) async throws -> [ByteRange]? {
        try await wrapped.changedExtents(image: image, bitmap: bitmap)
    }

    func extentsNewer(relationship: String, than generation: String) async throws -> [String: [ByteRange]] {
        try await wrapped.extentsNewer(relationship: relationship, than: generation)
    }

    func probe(_ request: HTTPProbe) async throws -> HTTPProbeResult {
        try await wrapped.probe(request)
    }

    func check(_ request: AgentCheck) async throws -> AgentCheckAnswer {
        try await wrapped.check(request)
    }
}
