import Foundation
import RecoveryEngine
import SiteModel
import Synchronization

/// What `replicate` prints: each point, and each trouble once.
final class ReplicationReport: Sendable {
    /// Seconds for which a trouble that was told of is not told of again.
    private static let silence: TimeInterval = 60

    private struct Trouble {
        var text: String
        var times = 1
        var toldAt: Date
    }

    /// The trouble that each VM has now.
    private let troubles = Mutex<[String: Trouble]>([:])

    func tell(_ news: ReplicationNews) {
        switch news {
        case .point(let vm, let job):
            let trouble = troubles.withLock { $0.removeValue(forKey: vm) }
            let before = trouble.map { " (after \(Self.times($0.times)) failing)" } ?? ""
            let bytes = job.facts["bytes"].flatMap { UInt64($0) }.map { ", \(Text.bytes($0))" } ?? ""
            let seconds = job.facts["seconds"].flatMap { Double($0) }.map { " in \(Text.duration($0))" } ?? ""
            Terminal.say("\(vm): point \(job.facts["point"] ?? "?")\(bytes)\(seconds)\(before)")
        case .finished(let vm, let job):
            Terminal.say("\(vm): \(job.operation.rawValue), left open by another engine, is done")
        case .trouble(let vm, let text):
            if let line = troubles.withLock({ Self.notice(vm, text, &$0) }) { Terminal.say(line) }
        }
    }

    func tell(_ news: WatchNews) {
        switch news {
        case .confirmed(let vm, let host): Terminal.say("\(vm): \(host) is back and still owns it")
        case .started(let vm, let host): Terminal.say("\(vm): started at \(host)")
        case .takenOver(let vm, let host): Terminal.say("\(vm): \(host) had failed it over with no vault; taken over")
        case .formerCopy(let vm, let host, .stopped):
            Terminal.say("\(vm): \(host) is back with its former copy, off; it is kept from starting")
        case .formerCopy(let vm, let host, .suspended):
            Terminal.complain(
                "ALERT: \(vm) came back running at \(host), which owns it no more: suspended, links down, disks kept")
        case .trouble(let vm, let text):
            if let line = troubles.withLock({ Self.notice("\(vm), watched", text, &$0) }) { Terminal.say(line) }
        }
    }

    private static func notice(_ vm: String, _ text: String, _ troubles: inout [String: Trouble]) -> String? {
        guard var trouble = troubles[vm], trouble.text == text else {
            troubles[vm] = Trouble(text: text, toldAt: Date())
            return "\(vm): \(text)"
        }
        trouble.times += 1
        let isDue = Date().timeIntervalSince(trouble.toldAt) >= silence
        if isDue { trouble.toldAt = Date() }
        troubles[vm] = trouble
        return isDue ? "\(vm): still failing (\(times(trouble.times)))" : nil
    }

    private static func times(_ count: Int) -> String { count == 1 ? "1 time" : "\(count) times" }
}
