import SiteModel

/// When a VM's cycles are due: at slots a copy frequency apart, whose place within it follows from the VM's id.
///
/// So VMs that were protected together do not begin together for ever, and every engine, after a restart too, finds the
/// same slots.
struct CycleTiming: Sendable {
    /// A cycle is late when it begins this share of its frequency after its slot.
    static let tolerance = 0.1

    /// From 0 up to 1: where in the copy frequency the slots of an id lie.
    static func phase(of id: String) -> Double {
        // FNV-1a, and a last mixing: Swift's own hash is another in each process.
        var hash = id.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
        hash ^= hash >> 33
        hash = hash &* 0xFF51_AFD7_ED55_8CCD
        hash ^= hash >> 33
        return Double(hash >> 11) / Double(1 << 53)
    }

    /// The first slot after the newest point, at least a tenth of the frequency later: so no point is older than 1.1
    /// frequencies when the next cycle begins.
    static func slot(after newest: Timestamp, frequency: Double, id: String) -> Timestamp {
        let step = Int64(max(1, frequency) * 1000)
        let phase = Int64(phase(of: id) * Double(step))
        let earliest = newest.milliseconds + Int64(Double(step) * tolerance)
        let passed = earliest - phase
        let index = passed >= 0 ? (passed + step - 1) / step : passed / step
        return Timestamp(milliseconds: index * step + phase)
    }

    /// Seconds to wait after so many failures in a row: doubled each time, to a limit; a little different for each id.
    static func pause(afterFailures failures: Int, frequency: Double, id: String) -> Double {
        let first = min(frequency, shortestPause)
        let doubled = first * Double(1 << min(20, max(0, failures - 1)))
        return min(doubled, longestPause) * (0.9 + 0.2 * phase(of: "\(id)/\(failures)"))
    }

    private static let shortestPause = 30.0
    private static let longestPause = 300.0
}
