/// Something that goes wrong with calls, set by hand, by a site's file or by a schedule.
package struct Fault: Hashable, Sendable {
    package enum Effect: Hashable, Sendable {
        /// The call does nothing and says so.
        case fails
        /// The call does its work, and the caller is told that it did not.
        case losesAnswer
        /// The call runs into its time limit after so many seconds, with nothing done.
        case hangs(seconds: Double)
        /// The call takes so many times as long.
        case slow(factor: Double)
    }

    /// Name of the host; nil for all.
    package var host: String?
    /// Calls whose name begins so ("agent.", "hypervisor.begin-backup"); those in `except` work.
    package var call: String
    package var except: [String] = []
    /// VM's UUID or relationship that the call is about; nil for all.
    package var subject: String?
    /// Calls that still go well before the first that does not.
    package var skip = 0
    /// Calls that it befalls; nil for all.
    package var times: Int?
    /// Share of the calls that it befalls, drawn from the world's seed.
    package var probability = 1.0
    package var effect: Effect

    package init(_ effect: Effect, call: String, host: String? = nil) {
        self.effect = effect
        self.call = call
        self.host = host
    }
}

extension WorldState {
    /// What befalls a call now; counts it.
    mutating func fault(_ call: String, _ subject: String, at host: String) -> Fault.Effect? {
        guard !faults.isEmpty else { return nil }
        for index in faults.indices {
            let fault = faults[index]
            guard fault.host == nil || fault.host == host, fault.subject == nil || fault.subject == subject,
                call.hasPrefix(fault.call), !fault.except.contains(call), fault.times != 0
            else { continue }
            if fault.skip > 0 {
                faults[index].skip -= 1
                continue
            }
            guard fault.probability >= 1 || chance.fraction() < fault.probability else { continue }
            if let times = fault.times { faults[index].times = times - 1 }
            return fault.effect
        }
        return nil
    }
}
