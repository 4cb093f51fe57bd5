import Foundation
package import SiteModel

/// An agent reached over its control socket.
///
/// Connects when first used, and again when the agent was started anew.
package final class AgentClient: Agent {
    private let link: ControlLink

    private let transferSilenceSeconds: Double

    /// Makes a client for the agent at that control socket; nothing is connected yet.
    ///
    /// A transfer of which nothing is heard for `transferSilenceSeconds` is given up (`timedOut`).
    package init(controlSocket: String, transferSilenceSeconds: Double = 120) {
        link = ControlLink(path: controlSocket)
        self.transferSilenceSeconds = transferSilenceSeconds
    }

    /// Ends the connection, and with it whatever the agent is doing for this client.
    package func close() { link.close() }

    package func status() async throws -> AgentStatus { try await link.ask(AgentCalls.status, Nothing()) }

    package func recordOwnership(_ record: OwnershipRecord) async throws {
        _ = try await link.ask(AgentCalls.recordOwnership, record)
    }

    package func ownership(relationship: String) async throws -> OwnershipRecord? {
        try await link.ask(AgentCalls.ownership, relationship)
    }

    package func standings() async throws -> [OwnershipStanding] {
        try await link.ask(AgentCalls.standings, Nothing())
    }

    package func forgetOwnership(relationship: String) async throws {
        _ = try await link.ask(AgentCalls.forgetOwnership, relationship)
    }

    package func attend(_ vault: VaultStanding) async throws { _ = try await link.ask(AgentCalls.attend, vault) }

    package func keepVault(_ part: VaultPart) async throws { _ = try await link.ask(AgentCalls.keepVault, part) }

    package func openPoint(_ request: OpenPoint) async throws -> PointTicket {
        try await link.ask(AgentCalls.openPoint, request)
    }

    package func sealPoint(_ request: SealPoint) async throws -> PointSummary {
        try await link.ask(AgentCalls.sealPoint, request)
    }

    package func endLeg(_ request: EndLeg) async throws { _ = try await link.ask(AgentCalls.endLeg, request) }

    package func abandonPoint(relationship: String, generation: String) async throws {
        _ = try await link.ask(
            AgentCalls.abandonPoint, GenerationReference(relationship: relationship, generation: generation))
    }

    package func points(relationship: String) async throws -> [PointSummary] {
        try await link.ask(AgentCalls.points, relationship)
    }

    package func keepPoints(relationship: String, keeping: [String], pinned: [String]) async throws -> [PointSummary] {
        try await link.ask(
            AgentCalls.keepPoints, AgentCalls.Keep(relationship: relationship, keeping: keeping, pinned: pinned))
    }

    package func dropPoints(relationship: String, allBut generation: String) async throws {
        _ = try await link.ask(
            AgentCalls.dropPoints, GenerationReference(relationship: relationship, generation: generation))
    }

    package func checkPoints(
        _ request: CheckPoints, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> CheckedPoints {
        try await link.ask(
            AgentCalls.checkPoints, request, silenceSeconds: transferSilenceSeconds, progress: progress)
    }

    package func divergence(_ request: DivergenceRequest) async throws -> Divergence? {
        try await link.ask(AgentCalls.divergence, request)
    }

    package func domainXML(relationship: String, generation: String) async throws -> String {
        try await link.ask(
            AgentCalls.domainXML, GenerationReference(relationship: relationship, generation: generation))
    }

    package func forget(relationship: String) async throws {
        _ = try await link.ask(AgentCalls.forget, relationship)
    }

    package func openExport(_ request: ExportPoint) async throws -> PointTicket {
        try await link.ask(AgentCalls.openExport, request)
    }

    package func importPoint(_ request: ImportPoint) async throws -> PointSummary {
        try await link.ask(AgentCalls.importPoint, request)
    }

    package func createBootImages(
        relationship: String, generation: String, epoch: Int
    ) async throws -> [BootImage] {
        try await link.ask(
            AgentCalls.createBootImages,
            AgentCalls.BootRequest(relationship: relationship, generation: generation, epoch: epoch))
    }

    package func discardBootImages(relationship: String, epoch: Int) async throws {
        _ = try await link.ask(
            AgentCalls.discardBootImages, AgentCalls.Discard(relationship: relationship, epoch: epoch))
    }

    package func firmware(_ place: FirmwarePlace) async throws -> FirmwareState {
        try await link.ask(AgentCalls.firmware, place)
    }

    package func placeFirmware(_ request: FirmwarePlacement) async throws -> PlacedFirmware {
        try await link.ask(AgentCalls.placeFirmware, request)
    }

    package func writeSeed(_ seed: GuestSeed) async throws -> String {
        try await link.ask(AgentCalls.writeSeed, seed)
    }

    package func adoptDisks(relationship: String, vm: VMIdentity, disks: [AdoptedDisk]) async throws {
        _ = try await link.ask(
            AgentCalls.adoptDisks, AgentCalls.Adopt(relationship: relationship, vm: vm, disks: disks))
    }

    package func settleDisks(relationship: String, disks: [AdoptedDisk]) async throws {
        _ = try await link.ask(AgentCalls.settleDisks, AgentCalls.Settle(relationship: relationship, disks: disks))
    }

    package func sendPoint(
        _ request: SendPoint, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> TransferSummary {
        try await link.ask(
            AgentCalls.sendPoint, request, silenceSeconds: transferSilenceSeconds, progress: progress)
    }

    package func changedExtents(image: DiskImage, bitmap: String) async throws -> [ByteRange]? {
        try await link.ask(AgentCalls.changedExtents, AgentCalls.Bitmap(image: image, bitmap: bitmap))
    }

    package func extentsNewer(
        relationship: String, than generation: String
    ) async throws -> [String: [ByteRange]] {
        try await link.ask(
            AgentCalls.extentsNewer, GenerationReference(relationship: relationship, generation: generation))
    }

    package func probe(_ request: HTTPProbe) async throws -> HTTPProbeResult {
        try await link.ask(AgentCalls.probe, request)
    }

    package func check(_ request: AgentCheck) async throws -> AgentCheckAnswer {
        try await link.ask(AgentCalls.check, request)
    }
}
