import Foundation
import RecoveryEngine
import Synchronization

/// Ships the vault for as long as this process works on it, and once more at its end.
enum VaultShipping {
    private struct Work {
        var shipper: VaultShipper
        var task: Task<Void, Never>
    }

    private static let current = Mutex<Work?>(nil)

    static func begin(_ shipper: VaultShipper) {
        current.withLock { work in
            work?.task.cancel()
            work = Work(
                shipper: shipper,
                task: Task.detached {
                    await shipper.run { Terminal.complain("warning: the vault is not shipped: \($0)") }
                })
        }
    }

    /// Ships what the command did last; what keeps it from that was told of already.
    static func finish() async {
        guard
            let work = current.withLock({ work in
                defer { work = nil }
                return work
            })
        else { return }
        work.task.cancel()
        await work.task.value
        try? await work.shipper.ship()
    }
}
