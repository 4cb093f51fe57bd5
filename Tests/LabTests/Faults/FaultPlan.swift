import RecoveryEngine
import SiteModel

/// What is under way when a fault comes.
enum FaultPhase: String, Sendable, CaseIterable {
    /// A first copy in legs.
    case firstCopy = "first copy"
    case cycle
    /// The end of a cycle, where points that the policy does not keep are merged and folded.
    case merge
    /// The first point the other way, after a failover.
    case reverse
    /// A cycle after the source's QEMU was killed: its map is gone, and both sides are compared.
    case compare
    /// The same end of a cycle, once a layer is being written into the base.
    case fold
    /// Both sides are compared as a whole.
    case verify
    /// All stored points are read where they are.
    case check

    /// The stages of the operation in which the fault may come.
    var stages: [StageName] {
        switch self {
        case .firstCopy, .cycle, .compare: [.copy, .copy, .copy, .prune]
        case .merge, .fold: [.prune]
        case .verify: [.verify, .verify, .prune]
        case .check: [.checkPoints]
        case .reverse: [.quietFormerOwner, .adoptDisks, .turnRound, .copy, .copy, .copy, .prune, .flatten]
        }
    }
}

/// What goes wrong.
enum FaultKind: String, Sendable, CaseIterable {
    case sourceKilled = "source QEMU killed"
    case engineKilled = "engine killed"
    case receiverKilled = "receiver killed"
    case senderKilled = "sender killed"
    case targetFull = "target full"
    case sourceFull = "source nearly full"
    case linkSlow = "link slow"
    case linkLossy = "link lossy"
    case linkCut = "link cut"
    case mapRemoved = "map removed"
    case mapInconsistent = "map inconsistent"
    case mapDeleted = "map deleted at rest"
    case checkpointDeleted = "checkpoint deleted by others"
    case foreignCheckpoint = "checkpoint of others"
    case linkFlips = "bits flipped on the wire"
    case flippedBase = "bit flipped in the base"
    case flippedMiddle = "bit flipped in a middle layer"
    case flippedNewest = "bit flipped in the newest layer"
    case flippedTable = "bit flipped in a table"
    case flippedDefinition = "bit flipped in a definition"
    case targetErrors = "I/O errors at the target"
    case sourceErrors = "I/O errors at the source"

    /// A bit changes in a stored file, at rest.
    var isFlip: Bool {
        [.flippedBase, .flippedMiddle, .flippedNewest, .flippedTable, .flippedDefinition].contains(self)
    }

    /// A site's file system answers with errors.
    var isStorageError: Bool { self == .targetErrors || self == .sourceErrors }

    /// Somebody meddles with the map of changes, with the copies at rest.
    var isOfMap: Bool {
        [.mapRemoved, .mapInconsistent, .mapDeleted, .checkpointDeleted, .foreignCheckpoint].contains(self)
    }

    /// Whether it can come in the middle of that phase.
    func comes(in phase: FaultPhase) -> Bool {
        switch self {
        // These are done to files at rest, before a cycle.
        case .mapRemoved, .mapInconsistent, .mapDeleted, .checkpointDeleted, .foreignCheckpoint: phase == .cycle
        case .flippedBase, .flippedMiddle, .flippedNewest, .flippedTable, .flippedDefinition:
            phase != .firstCopy && phase != .reverse
        case .sourceFull: phase != .merge && phase != .fold && phase != .check
        case .sourceErrors, .targetErrors: phase != .reverse
        default: true
        }
    }
}

/// One round, as its seed makes it.
struct FaultPlan: Sendable {
    let seed: UInt64
    let phase: FaultPhase
    /// One fault, or two at once.
    let faults: [FaultKind]
    /// The stage at whose beginning the time until the fault is counted, and that time in seconds.
    let stage: StageName
    let delay: Double
    /// Seconds from the fault until what it took away is given back.
    let duration: Double
    /// Bytes a second of the link, without a fault.
    let rate: Double
    let diskBytes: [Int]
    /// Points that are made before the fault, besides the first.
    let pointsBefore: Int
    /// What the policy keeps besides the newest.
    let recoveryPoints: Int
    /// Microseconds between two writes.
    let pause: UInt32

    init(seed: UInt64) {
        self.seed = seed
        var chance = Chance(seed: seed)
        let phase = chance.one(of: FaultPhase.allCases + [.cycle, .firstCopy])
        let kinds = FaultKind.allCases.filter { $0.comes(in: phase) }
        var faults = [chance.one(of: kinds)]
        if chance.once(in: 4) {
            let second = chance.one(of: kinds)
            // A file system that fails takes its site along: nothing else need go wrong.
            if second != faults[0], !faults[0].isStorageError, !second.isStorageError { faults.append(second) }
        }
        self.phase = phase
        self.faults = faults
        stage = chance.one(of: phase.stages)
        delay = chance.once(in: 4) ? 0 : chance.seconds(in: 0...(stage == .copy ? 1.5 : phase == .fold ? 0.02 : 0.3))
        duration = chance.seconds(in: 0.2...3)
        rate = chance.one(of: [4e6, 8e6, 20e6, 60e6])
        // An odd number of sectors, as disks are that were shrunk by hand.
        diskBytes = [(24 << 20) + 512 * chance.number(in: 0...200), (8 << 20) + 512 * chance.number(in: 0...127)]
        let hasFlip = faults.contains(where: \.isFlip)
        pointsBefore =
            phase == .merge || phase == .fold ? chance.number(in: 3...5) : chance.number(in: (hasFlip ? 1 : 0)...2)
        recoveryPoints =
            phase == .merge ? chance.number(in: 0...2) : phase == .fold ? 0 : chance.number(in: 1...4)
        // A first copy must come on: over a slow link it does not while the guest writes as fast as that.
        let isTight = phase == .firstCopy && rate < 20e6
        pause = chance.one(of: isTight ? [10_000, 20_000] : [1000, 3000, 10_000])
    }

    /// The fault's random choices while the round goes on.
    var chance: Chance { Chance(seed: seed ^ 0xFA17) }

    /// Whether some stored point need not be what was written.
    var mayDamage: Bool { faults.contains(where: \.isFlip) }

    var name: String { "r\(String(seed, radix: 36))" }

    var faultWords: String { faults.map(\.rawValue).joined(separator: " + ") }
}
