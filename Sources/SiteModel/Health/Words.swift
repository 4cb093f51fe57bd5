/// Figures in sentences that no locale changes.
package enum Words {
    /// A length of time: "0.4 s", "12 s", "3 min 20 s", "5 h 10 min", "2 d 3 h".
    package static func seconds(_ seconds: Double) -> String {
        guard seconds.isFinite else { return "for ever" }
        let value = max(0, seconds)
        if value < 10 { return "\((value * 10).rounded() / 10) s" }
        let whole = Int(min(value, 1e12).rounded())
        func two(_ large: Int, _ unit: String, _ small: Int, _ lesser: String) -> String {
            small == 0 ? "\(large) \(unit)" : "\(large) \(unit) \(small) \(lesser)"
        }
        switch whole {
        case ..<120: return "\(whole) s"
        case ..<7200: return two(whole / 60, "min", whole % 60, "s")
        case ..<172_800: return two(whole / 3600, "h", whole % 3600 / 60, "min")
        default: return two(whole / 86_400, "d", whole % 86_400 / 3600, "h")
        }
    }

    /// A share as a percentage with one digit: "20 %", "33.3 %".
    package static func percent(_ share: Double) -> String {
        let value = (share * 1000).rounded() / 10
        return value == value.rounded() ? "\(Int(value)) %" : "\(value) %"
    }
}
