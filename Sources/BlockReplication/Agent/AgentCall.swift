import Foundation
import SiteModel

/// One call of the control protocol: its name, what it takes and what it answers.
struct AgentCall<Body: Codable & Sendable, Answer: Codable & Sendable>: Sendable {
    let name: String
    /// How long a client waits for the answer; nil for work that takes as long as it takes.
    let deadlineSeconds: Double?

    init(_ name: String, deadlineSeconds: Double? = 30) {
        self.name = name
        self.deadlineSeconds = deadlineSeconds
    }
}

/// An answer that says only that the call succeeded, or a call that takes nothing.
struct Nothing: Codable, Hashable, Sendable {}

/// A relationship and one of its generations.
struct GenerationReference: Codable, Sendable {
    var relationship: String
    var generation: String
}

/// Every call of the control protocol, one for each method of `Agent`.
enum AgentCalls {
    struct Keep: Codable, Sendable {
        var relationship: String
        var keeping: [String]
        var pinned: [String]
    }

    struct BootRequest: Codable, Sendable {
        var relationship: String
        var generation: String
        var epoch: Int
    }

    struct Discard: Codable, Sendable {
        var relationship: String
        var epoch: Int
    }

    struct Adopt: Codable, Sendable {
        var relationship: String
        var vm: VMIdentity
        var disks: [AdoptedDisk]
    }

    struct Settle: Codable, Sendable {
        var relationship: String
        var disks: [AdoptedDisk]
    }

    struct Bitmap: Codable, Sendable {
        var image: DiskImage
        var bitmap: String
    }

    static let status = AgentCall<Nothing, AgentStatus>("status")
    static let recordOwnership = AgentCall<OwnershipRecord, Nothing>("recordOwnership")
    static let ownership = AgentCall<String, OwnershipRecord?>("ownership")
    static let standings = AgentCall<Nothing, [OwnershipStanding]>("standings")
    static let forgetOwnership = AgentCall<String, Nothing>("forgetOwnership")
    static let attend = AgentCall<VaultStanding, Nothing>("attend")
    static let keepVault = AgentCall<VaultPart, Nothing>("keepVault")
    static let openPoint = AgentCall<OpenPoint, PointTicket>("openPoint")
    static let sealPoint = AgentCall<SealPoint, PointSummary>("sealPoint")
    static let endLeg = AgentCall<EndLeg, Nothing>("endLeg")
    static let abandonPoint = AgentCall<GenerationReference, Nothing>("abandonPoint")
    static let points = AgentCall<String, [PointSummary]>("points")
    static let keepPoints = AgentCall<Keep, [PointSummary]>("keepGenerations", deadlineSeconds: nil)
    static let dropPoints = AgentCall<GenerationReference, Nothing>("dropPoints", deadlineSeconds: nil)
    static let checkPoints = AgentCall<CheckPoints, CheckedPoints>("checkPoints", deadlineSeconds: nil)
    static let divergence = AgentCall<DivergenceRequest, Divergence?>("divergence", deadlineSeconds: nil)
    static let domainXML = AgentCall<GenerationReference, String>("domainXML")
    static let forget = AgentCall<String, Nothing>("forget", deadlineSeconds: nil)
    static let openExport = AgentCall<ExportPoint, PointTicket>("openExport")
    static let importPoint = AgentCall<ImportPoint, PointSummary>("importPoint", deadlineSeconds: nil)
    static let createBootImages = AgentCall<BootRequest, [BootImage]>("createBootImages")
    static let discardBootImages = AgentCall<Discard, Nothing>("discardBootImages")
    static let firmware = AgentCall<FirmwarePlace, FirmwareState>("firmware")
    static let placeFirmware = AgentCall<FirmwarePlacement, PlacedFirmware>("placeFirmware")
    static let writeSeed = AgentCall<GuestSeed, String>("writeSeed")
    static let adoptDisks = AgentCall<Adopt, Nothing>("adoptDisks")
    static let settleDisks = AgentCall<Settle, Nothing>("settleDisks", deadlineSeconds: nil)
    static let sendPoint = AgentCall<SendPoint, TransferSummary>("sendPoint", deadlineSeconds: nil)
    static let changedExtents = AgentCall<Bitmap, [ByteRange]?>("changedExtents", deadlineSeconds: nil)
    static let extentsNewer = AgentCall<GenerationReference, [String: [ByteRange]]>("extentsNewer")
    static let probe = AgentCall<HTTPProbe, HTTPProbeResult>("probe", deadlineSeconds: 120)
    /// Its time is that of the slowest connections, a few at once.
    static let check = AgentCall<AgentCheck, AgentCheckAnswer>("check", deadlineSeconds: 150)
    /// Ends the running call of that number on the same connection.
    static let cancel = AgentCall<UInt64, Nothing>("cancel")
}

/// A message from a client.
struct ControlRequest<Body: Codable>: Codable {
    var id: UInt64
    var call: String
    var body: Body
}

/// The part of a client's message that says which call it is.
struct ControlRequestHead: Codable {
    var id: UInt64
    var call: String
}

/// A message to a client: any number with progress, then one with a result or an error.
struct ControlResponse<Answer: Codable>: Codable {
    var id: UInt64
    var progress: TransferProgress?
    var result: Answer?
    var error: WireFailure?
}

/// The part of a message to a client that says what it is; the result is decoded by who asked.
struct ControlResponseHead: Codable {
    var id: UInt64
    var progress: TransferProgress?
    var error: WireFailure?
}

/// Wraps an answer, so that a missing optional is an answer too.
struct Answered<Value: Codable>: Codable {
    var value: Value
}
