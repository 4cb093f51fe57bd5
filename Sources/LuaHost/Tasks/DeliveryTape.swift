internal import Synchronization

/// Records the deliveries of a run in memory, and plays them back for another one.
public final class DeliveryTape: DeliveryOrder {
    private struct State {
        var recorded: [Delivery] = []
        var position = 0
    }

    private let played: [DeliveryID]
    private let state = Mutex(State())

    /// Makes a tape that records.
    ///
    /// - Parameter deliveries: those of an earlier run, whose order this one is to have; after the last one deliveries come
    ///   as they arrive.
    public init(playing deliveries: [Delivery] = []) {
        played = deliveries.filter(\.hasTurn).map(\.id)
    }

    /// What was delivered so far.
    public var deliveries: [Delivery] { state.withLock { $0.recorded } }

    /// The wait whose turn it is.
    public func next() -> DeliveryID? {
        state.withLock { $0.position < played.count ? played[$0.position] : nil }
    }

    /// Records a delivery.
    public func deliver(_ delivery: Delivery) {
        state.withLock { state in
            state.recorded.append(delivery)
            if delivery.hasTurn { state.position += 1 }
        }
    }
}
