import Foundation
import SiteModel

/// A point that is being received: who may send it, what has come, and what went wrong.
///
/// The first failure of any disk ends the reception of all, and the point is thrown away once no connection works on
/// it.
final class IncomingPoint: @unchecked Sendable {  // `disks`, `underWay` and `failure` are guarded by `condition`
    /// A disk to be received, and where its newest state is.
    struct Disk {
        let writer: any PointImageWriter
        let newest: DiskImage?
        /// Where the newest state is known to be damaged: it travels whatever stands there.
        let distrusted: ExtentMap
        fileprivate var state = State.awaited

        fileprivate enum State {
            case awaited, receiving
            case received(Hash128)
        }

        init(writer: any PointImageWriter, newest: DiskImage?, distrusted: ExtentMap = ExtentMap()) {
            self.writer = writer
            self.distrusted = distrusted
            self.newest = newest
        }
    }

    /// A ticket that nobody has shown for so long is void.
    static let ticketLifeSeconds = 600.0

    let relationship: String
    let generation: String
    let draft: PointDraft
    /// The folder for carrying that it is received into; nil for a point of this host's own store.
    let export: PointStore?
    let token: [UInt8]
    private let interrupt: Interrupt
    private let made = ContinuousClock.now
    private let condition = NSCondition()
    private var disks: [String: Disk]
    private var underWay = 0
    private var failure: (any Error)?

    init(
        relationship: String, generation: String, draft: PointDraft, disks: [String: Disk], export: PointStore? = nil
    ) throws {
        self.relationship = relationship
        self.generation = generation
        self.draft = draft
        self.disks = disks
        self.export = export
        token = randomBytes(WireHello.tokenSize)
        interrupt = try Interrupt()
    }

    /// Receives a disk over a connection that has shown this point's ticket.
    ///
    /// Blocks until all has come or it failed.
    func receive(_ hello: WireHello, over channel: WireChannel) throws {
        interrupt.pass(to: channel.socket.interrupt)
        let disk = try begin(hello.disk)
        let summary: FrameSummary
        do {
            let welcome: WireWelcome = disk.newest == nil ? .unpacks : [.unpacks, .answersBlocks]
            try channel.send(.welcome, offset: welcome.rawValue)
            let receiver = DiskReceiver(
                writer: disk.writer, newest: disk.newest, distrusted: disk.distrusted,
                interrupt: channel.socket.interrupt)
            summary = try receiver.run(channel)
        } catch {
            end(hello.disk, .failure(error))
            throw error
        }
        end(hello.disk, .success(summary.checksum))
        do {
            try summary.checksum.bytes.withUnsafeBytes { try channel.send(.ack, $0) }
        } catch {
            // The disk has come and is counted out; its sender does not know, so the point is given up all the same.
            condition.withLock { if failure == nil { failure = error } }
            interrupt.trigger(error)
            throw error
        }
    }

    /// The checksum of each disk when all have come whole; throws what went wrong, or what is still missing.
    func checksums() throws -> [String: String] {
        try condition.withLock {
            if let failure { throw failure }
            var result: [String: String] = [:]
            for (target, disk) in disks.sorted(by: { $0.key < $1.key }) {
                guard case .received(let checksum) = disk.state else {
                    throw ReplicationError(
                        .invalidArgument, "disk \(target) of the point has not been received whole",
                        hint: "send all disks of the point, and seal it after that",
                        context: ["relationship": relationship, "generation": generation, "disk": target])
                }
                result[target] = checksum.hexadecimal
            }
            return result
        }
    }

    /// Whether the point can only be thrown away.
    var hasFailed: Bool { condition.withLock { failure != nil } }

    /// Stops all that works on the point and waits until nothing does.
    ///
    /// Blocks.
    func stop(_ reason: any Error) {
        interrupt.trigger(reason)
        condition.lock()
        if failure == nil { failure = reason }
        while underWay > 0 { condition.wait() }
        condition.unlock()
    }

    private func begin(_ target: String) throws -> Disk {
        try condition.withLock {
            if let failure { throw failure }
            guard ContinuousClock.now - made < .seconds(Self.ticketLifeSeconds) || underWay > 0 else {
                throw ReplicationError.refusedTicket("it has expired")
            }
            guard let disk = disks[target], case .awaited = disk.state else {
                throw ReplicationError.refusedTicket("it is not good for disk \(target.prefix(32)), or no more")
            }
            disks[target]?.state = .receiving
            underWay += 1
            return disk
        }
    }

    private func end(_ target: String, _ result: Result<Hash128, any Error>) {
        let failed = condition.withLock { () -> (any Error)? in
            underWay -= 1
            condition.broadcast()
            switch result {
            case .success(let checksum):
                disks[target]?.state = .received(checksum)
                return nil
            case .failure(let error):
                if failure == nil { failure = error }
                return error
            }
        }
        if let failed { interrupt.trigger(failed) }
    }
}

extension ReplicationError {
    /// The ticket gives no right to send; says no more than the sender needs.
    static func refusedTicket(_ reason: String) -> ReplicationError {
        ReplicationError(
            .notAuthorized, "the ticket was refused: \(reason)",
            hint: "open the point at the target again and send with the new ticket")
    }
}
