import Synchronization

/// What has ended and the loop does not know yet; each rings its bell.
final class Finished: Sendable {
    enum End: Sendable {
        case turn(String, failed: Bool)
        case orphan(String, failed: Bool)
        case duty(Int)
    }

    private let ends = Mutex<[End]>([])
    private let bell: AsyncStream<Void>.Continuation

    init(bell: AsyncStream<Void>.Continuation) {
        self.bell = bell
    }

    func note(_ end: End) {
        ends.withLock { $0.append(end) }
        bell.yield()
    }

    func take() -> [End] {
        ends.withLock { ends in
            defer { ends = [] }
            return ends
        }
    }
}
