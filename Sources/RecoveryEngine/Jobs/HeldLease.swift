package import VaultStore

/// A lease that is kept alive while its holder works.
package actor HeldLease {
    private let dependencies: EngineDependencies
    package private(set) var lease: Lease

    package init(_ lease: Lease, dependencies: EngineDependencies) {
        self.lease = lease
        self.dependencies = dependencies
    }

    /// Renews the lease three times in its life; returns when it is lost or the task is cancelled.
    package func renewUntilLost() async {
        while !Task.isCancelled {
            do {
                try await dependencies.clock.sleep(seconds: dependencies.leaseLifetime / 3)
                let (held, now, lifetime) = (lease, dependencies.clock.now, dependencies.leaseLifetime)
                lease = try await dependencies.vault.write { try $0.renew(held, now: now, lifetime: lifetime) }
            } catch let error as VaultError where error.code != .leaseLost {
                // The vault may be busy for a moment; the lease has time for two more tries.
                continue
            } catch {
                return
            }
        }
    }

    /// Gives the lease up; one that cannot be given up runs out by itself.
    package func release() async {
        let held = lease
        try? await dependencies.vault.write { try $0.release(held) }
    }
}

/// Who holds a lease, in words for people.
package struct LeaseHolder: Hashable, Sendable {
    /// Name of the machine; nil for a holder that does not say.
    package var host: String?
    package var processID: Int?
    private let holder: String

    /// Reads "host:pid:anything"; other forms stay as they are.
    package init(_ holder: String) {
        self.holder = holder
        let parts = holder.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count >= 3, let processID = Int(parts[parts.count - 2]) else { return }
        self.processID = processID
        host = parts.dropLast(2).joined(separator: ":")
    }

    package var words: String {
        guard let host, let processID else { return "'\(holder)'" }
        return "process \(processID) at \(host)"
    }
}
