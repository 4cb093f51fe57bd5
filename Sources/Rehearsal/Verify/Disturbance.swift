import Simulation

/// One thing that goes wrong while a script runs.
package enum Disturbance: Hashable, Sendable {
    /// The engine is killed after so many of its steps (calls to hosts, transactions of the vault); another one goes on.
    case crash(step: Int)
    /// The call of that number, of all to hosts, goes wrong.
    case call(Int, CallFault)
    /// No VM can be shut down, or started, at any host.
    case refuses(Power)
    /// A site cannot be reached from so many seconds after the beginning.
    case unreachable(site: String, second: Int)
    /// What is ready at the same time goes on in another order.
    case order(UInt64)

    package enum CallFault: String, Hashable, Sendable, CaseIterable {
        /// It does nothing and says so.
        case fails
        /// It does its work, and nobody hears of it.
        case unheard
        /// It does nothing and is given up after a minute.
        case hangs
    }

    package enum Power: String, Hashable, Sendable, CaseIterable {
        case stop, start
    }
}

/// The form for command lines: `crash@12`, `fails@3`, `unheard@3`, `hangs@3`, `stop@all`, `lost@a:30`, `order@7`.
extension Disturbance: LosslessStringConvertible {
    package var description: String {
        switch self {
        case .crash(let step): "crash@\(step)"
        case .call(let number, let fault): "\(fault.rawValue)@\(number)"
        case .refuses(let power): "\(power.rawValue)@all"
        case .unreachable(let site, let second): "lost@\(site):\(second)"
        case .order(let seed): "order@\(seed)"
        }
    }

    package init?(_ description: String) {
        let parts = description.split(separator: "@", maxSplits: 1).map(String.init)
        guard parts.count == 2 else { return nil }
        let (word, place) = (parts[0], parts[1])
        if let power = Power(rawValue: word), place == "all" {
            self = .refuses(power)
        } else if word == "lost", let colon = place.lastIndex(of: ":"), let second = Int(place[colon...].dropFirst()) {
            self = .unreachable(site: String(place[..<colon]), second: second)
        } else if word == "order", let seed = UInt64(place) {
            self = .order(seed)
        } else if let number = Int(place), number > 0 {
            if let fault = CallFault(rawValue: word) {
                self = .call(number, fault)
            } else if word == "crash" {
                self = .crash(step: number)
            } else {
                return nil
            }
        } else {
            return nil
        }
    }

    /// What happens, in words.
    package var words: String {
        switch self {
        case .crash(let step): "the engine is killed after its step \(step), and another one goes on"
        case .call(let number, .fails): "call \(number) fails"
        case .call(let number, .unheard): "call \(number) is done, and its answer is lost"
        case .call(let number, .hangs): "call \(number) hangs for a minute and does nothing"
        case .refuses(.stop): "no VM can be shut down"
        case .refuses(.start): "no VM can be started"
        case .unreachable(let site, let second): "site \(site) cannot be reached from second \(second) on"
        case .order: "what is ready at the same time goes on in another order"
        }
    }

    /// Kind, for counting.
    package var kind: String {
        switch self {
        case .crash: "crashes"
        case .call(_, .fails): "calls that fail"
        case .call(_, .unheard): "answers that are lost"
        case .call(_, .hangs): "calls that hang"
        case .refuses: "VMs that will not stop or start"
        case .unreachable: "sites that are lost"
        case .order: "orders"
        }
    }
}

extension Disturbance.CallFault {
    var effect: Fault.Effect {
        switch self {
        case .fails: .fails
        case .unheard: .losesAnswer
        case .hangs: .hangs(seconds: 60)
        }
    }
}
