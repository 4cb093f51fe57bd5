/// Packs content where that is quicker.
///
/// Confined to the sender's thread.
struct ContentPacking {
    private let choice: AgentLimits.Packing
    private let packer: Packer
    private var gauge = PackingGauge()
    private let start = ContinuousClock.now

    /// Nil when nothing is ever packed.
    init?(_ choice: AgentLimits.Packing) {
        if case .never = choice { return nil }
        guard let packer = Packer() else { return nil }
        self.choice = choice
        self.packer = packer
    }

    /// The packed bytes, valid until the next call; nil when these are to travel as they are.
    ///
    /// `blockedSeconds` is how long sending has waited for the network so far.
    mutating func pack(_ bytes: UnsafeRawBufferPointer, blockedSeconds: Double) -> UnsafeRawBufferPointer? {
        if case .always = choice { return packer.pack(bytes) }
        let begin = seconds
        guard gauge.wantsPacked(bytes: bytes.count, now: begin, blocked: blockedSeconds) else { return nil }
        let packed = packer.pack(bytes)
        gauge.packed(bytes.count, into: packed?.count ?? bytes.count, seconds: seconds - begin)
        return packed
    }

    private var seconds: Double { (ContinuousClock.now - start) / .seconds(1) }
}

/// Weighs the time that packing takes against the time that the network takes for what packing saves.
///
/// The network's speed is known from windows in which content travels as it is: what went, by the time that it took, if
/// much of that was spent waiting for the network. Where it was not, the network is no hindrance and nothing is packed. So
/// packing is left off for a window every few seconds, and content that did not give way is tried again as often.
struct PackingGauge {
    /// Seconds of a window in which the network is measured.
    static let window = 0.05
    /// Seconds between two such windows, at least, while content is packed.
    static let interval = 2.0
    /// The part of a window that is spent waiting for the network when that is what limits.
    static let blockedPart = 0.3

    private var windowStart: Double?
    private var windowBlocked = 0.0
    private var windowBytes = 0
    private var nextWindow = 0.0
    /// Bytes a second; nil while the network is not known to hinder.
    private(set) var network: Double?
    /// What packing has saved and taken lately: bytes and seconds, both halved now and then.
    private var (saved, spent) = (0.0, 0.0)
    private var forgetAt = 0.0

    /// Whether the next piece is packed; `now` and `blocked` are seconds since the beginning.
    mutating func wantsPacked(bytes: Int, now: Double, blocked: Double) -> Bool {
        if let start = windowStart {
            if now - start < Self.window {
                windowBytes += bytes
                return false
            }
            let isHindered = blocked - windowBlocked >= Self.blockedPart * (now - start)
            network = isHindered ? Double(windowBytes) / (now - start) : nil
            windowStart = nil
            nextWindow = now + Self.interval
            if now >= forgetAt {
                (saved, spent) = (0, 0)
                forgetAt = now + Self.interval
            }
        }
        // While nothing is packed each piece tells of the network; while pieces are, only now and then.
        guard let network, now < nextWindow, isQuicker(network) else {
            (windowStart, windowBlocked, windowBytes) = (now, blocked, bytes)
            return false
        }
        return true
    }

    /// Notes what packing a piece has brought.
    mutating func packed(_ bytes: Int, into length: Int, seconds: Double) {
        saved += Double(bytes - length)
        spent += seconds
        if spent > 1 { (saved, spent) = (saved / 2, spent / 2) }
    }

    /// Whether the network takes longer for what packing saves than packing takes.
    private func isQuicker(_ network: Double) -> Bool { spent == 0 || saved > spent * network }
}
