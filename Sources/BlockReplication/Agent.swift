package import SiteModel

/// What the engine asks of the agent at one host.
///
/// The agent moves the blocks and keeps the points; the engine opens no disk.
///
/// The calls go over the agent's control socket (`AgentClient`), or straight to an `AgentService` in the same process.
/// Errors are `ReplicationError`.
package protocol Agent: Sendable {
    func status() async throws -> AgentStatus

    // Ownership
    /// Records who owns the VM. Refused (`staleEpoch`) when the host has a record with a higher epoch, or another owner
    /// at the same one; and when the record is the word of a vault that `attend` would refuse.
    func recordOwnership(_ record: OwnershipRecord) async throws
    func ownership(relationship: String) async throws -> OwnershipRecord?
    /// Every record of this host, and whether it was confirmed since the host's last boot.
    func standings() async throws -> [OwnershipStanding]
    /// Removes the record of who may write the VM's disks: the VM is protected no more.
    ///
    /// Points stay, marked as released: nobody brings the VM up from them without a vault, and no vault is made of them.
    func forgetOwnership(relationship: String) async throws

    // The vault
    /// Notes that this copy of a vault asks. Refused (`staleEpoch`, and the error names the copy that is obeyed) when
    /// another copy of it was promoted and has asked before, unless this one is heir to that promotion.
    func attend(_ vault: VaultStanding) async throws
    /// Keeps a part of a copy of the vault; with the last one, the copy is whole and takes the place of the one before.
    func keepVault(_ part: VaultPart) async throws

    // Points, at a target
    /// Makes ready to receive one point; whatever an earlier attempt left behind is thrown away.
    func openPoint(_ request: OpenPoint) async throws -> PointTicket
    /// Makes the received point whole, for good. Repeating it for a generation that is there returns the same.
    func sealPoint(_ request: SealPoint) async throws -> PointSummary
    /// Makes count what a leg of a first copy has brought over; the point is sealed once nothing is missing.
    ///
    /// An agent that gives out tickets for legs knows this call.
    func endLeg(_ request: EndLeg) async throws
    /// Throws away what was received of a point that is not sealed. Nothing happens when there is none.
    ///
    /// Of a first copy in legs that is what came since the last one; the rest goes when its relationship or record of
    /// ownership does, or when a point of another make is opened.
    func abandonPoint(relationship: String, generation: String) async throws
    /// The points that are whole at this host, oldest first.
    func points(relationship: String) async throws -> [PointSummary]
    /// Makes points no more of all but these, and merges what lies between them. Returns those that stay, oldest first.
    ///
    /// A kept generation is a point on, and no more than that. A `pinned` one is read by its files' names (a test VM's point): it
    /// stays a point too, and its files with all beneath it are not touched. What is newer than every kept one stays in any
    /// case. `unsupported` when the agent is older than the call.
    func keepPoints(relationship: String, keeping: [String], pinned: [String]) async throws -> [PointSummary]
    /// Drops every point but this one; their extent maps stay until the first reversed point is whole.
    func dropPoints(relationship: String, allBut generation: String) async throws
    /// Domain XML as it was at that point.
    func domainXML(relationship: String, generation: String) async throws -> String
    /// Removes all that this host keeps for a relationship, but never a disk that a VM had before protection.
    ///
    /// Test and boot images go too when no process has them open; `busy`, with all left as it was, when one has.
    func forget(relationship: String) async throws

    /// Reads points at this host and compares them with the checksums that were kept as they were written; records what is wrong.
    ///
    /// The gate of the relationship stays open: whatever must go on at once does. `unsupported` when the agent is older.
    func checkPoints(
        _ request: CheckPoints, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> CheckedPoints
    /// What this host's former disks hold that the VM went on without; nil when there is nothing.
    func divergence(_ request: DivergenceRequest) async throws -> Divergence?

    // A first copy that is carried
    /// At a source: makes ready to receive the first point into a folder for carrying. The agent sends it to itself; sealing
    /// and abandoning are those of any point.
    func openExport(_ request: ExportPoint) async throws -> PointTicket
    /// At a target: takes a carried first point in, once its checksums are right. Repeating it returns the same.
    func importPoint(_ request: ImportPoint) async throws -> PointSummary

    // Failover images
    /// An overlay on a point for each disk, which a VM can write. Repeating it for the same epoch returns the same.
    func createBootImages(relationship: String, generation: String, epoch: Int) async throws -> [BootImage]
    func discardBootImages(relationship: String, epoch: Int) async throws
    /// Writes a CD image with what a guest is to be told, and returns its path; it goes with the boot images of that
    /// epoch.
    ///
    /// `unsupported` when the agent is older than the call.
    func writeSeed(_ seed: GuestSeed) async throws -> String
    /// At a source: what a VM keeps outside its disks. `unsupported` when the agent is older than the call.
    func firmware(_ place: FirmwarePlace) async throws -> FirmwareState
    /// Lays down what a point's VM kept outside its disks, for a VM that is off and about to be defined here.
    ///
    /// `unsupported` when the agent is older than the call.
    func placeFirmware(_ request: FirmwarePlacement) async throws -> PlacedFirmware
    /// Makes the disks that a VM last wrote at this host the base of the points to come: the reversed direction.
    func adoptDisks(relationship: String, vm: VMIdentity, disks: [AdoptedDisk]) async throws
    /// Says that the VM runs here on these disks, flattened: the points, maps and overlays that they do not stand on
    /// are removed.
    func settleDisks(relationship: String, disks: [AdoptedDisk]) async throws

    // Sending, at a source
    /// Reads the disks as told and sends them to the target agent; ends when the target has all of it on stable
    /// storage.
    func sendPoint(
        _ request: SendPoint, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> TransferSummary
    /// Extents changed since the persistent bitmap was begun, from a disk that no process has open for writing;
    /// nil when there is no usable bitmap of that name (QEMU was killed, or something else wrote the file).
    ///
    /// A long list is made shorter by joining near neighbours: the answer covers all that changed, and may cover more.
    func changedExtents(image: DiskImage, bitmap: String) async throws -> [ByteRange]?
    /// What points newer than this one changed at this host, by disk; also of points whose data has been dropped.
    ///
    /// May cover more than changed, as `changedExtents` may. `notFound` when nothing is known of the generation.
    func extentsNewer(relationship: String, than generation: String) async throws -> [String: [ByteRange]]

    // Looking at a guest from its site
    func probe(_ request: HTTPProbe) async throws -> HTTPProbeResult

    // Looking at the host itself
    /// Answers questions about the host: clock, store, images, programs, and what it can connect to.
    ///
    /// `unsupported` when the agent is older than the call.
    func check(_ request: AgentCheck) async throws -> AgentCheckAnswer
}

extension Agent {
    package func checkPoints(
        _ request: CheckPoints, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> CheckedPoints {
        throw ReplicationError(
            .unsupported, "this agent does not check points", hint: "run the same version of perilune at all hosts")
    }

    package func divergence(_ request: DivergenceRequest) async throws -> Divergence? { nil }
}
