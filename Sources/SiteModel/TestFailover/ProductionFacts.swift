/// How a VM and its replication stand: looked at before a test and after it, because a test must change none of it.
package struct ProductionFacts: Codable, Hashable, Sendable {
    package var owner: String
    package var epoch: Int
    /// Power of the VM at its source ("running", "off"); nil when the source did not answer.
    package var power: String?
    /// Whether the source's host starts the VM by itself; nil when it did not answer.
    package var autostart: Bool?
    /// Files that the VM writes at its source, by disk.
    package var images: [String: String]
    /// Epochs in the ownership records of the hosts that answered, by host id.
    package var recorded: [String: Int]
    /// The source still has the checkpoint that the next cycle counts from; nil when it did not answer.
    package var tracksChanges: Bool?
    /// Numbers of the recovery points at the target.
    package var points: [Int]

    package init(
        owner: String, epoch: Int, power: String? = nil, autostart: Bool? = nil, images: [String: String] = [:],
        recorded: [String: Int] = [:], tracksChanges: Bool? = nil, points: [Int] = []
    ) {
        self.owner = owner
        self.epoch = epoch
        self.power = power
        self.autostart = autostart
        self.images = images
        self.recorded = recorded
        self.tracksChanges = tracksChanges
        self.points = points
    }

    /// What is not as it was, each as one sentence.
    ///
    /// Replication goes on during a test: newer points are expected, and older ones may have been dropped for them.
    /// What was not seen before or is not seen after is no difference, and no proof that there is none: see `unseen`.
    package func differences(after: ProductionFacts) -> [String] {
        var found: [String] = []
        if owner != after.owner { found.append("the owner was \(owner) and is \(after.owner)") }
        if epoch != after.epoch { found.append("the ownership's epoch was \(epoch) and is \(after.epoch)") }
        if let power, let now = after.power, power != now { found.append("the VM was \(power) and is \(now)") }
        if let autostart, let now = after.autostart, autostart != now {
            found.append("the VM's autostart was \(autostart ? "on" : "off") and is \(now ? "on" : "off")")
        }
        if !after.images.isEmpty {
            for (disk, path) in images.sorted(by: { $0.key < $1.key }) where after.images[disk] != path {
                found.append("disk \(disk) was \(path) and is \(after.images[disk] ?? "not there")")
            }
        }
        for (host, epoch) in recorded.sorted(by: { $0.key < $1.key }) {
            guard let now = after.recorded[host], now != epoch else { continue }
            found.append("host \(host) had recorded epoch \(epoch) and has \(now)")
        }
        if tracksChanges == true, after.tracksChanges == false {
            found.append("the source no longer tracks what changes")
        }
        if let newest = points.max(), (after.points.max() ?? 0) < newest {
            found.append("the recovery points ended at \(newest) and end at \(after.points.max() ?? 0)")
        }
        return found
    }

    /// What could not be compared, because it was not seen before or is not seen after, each as one sentence.
    package func unseen(after: ProductionFacts) -> [String] {
        func when(_ before: Bool, _ after: Bool) -> String? {
            switch (before, after) {
            case (true, true): nil
            case (false, true): "before the test"
            case (true, false): "after the test"
            case (false, false): "before the test or after it"
            }
        }
        var found: [String] = []
        if let when = when(power != nil, after.power != nil) {
            found.append("the VM at its source was not seen \(when): its power, autostart and disks were not compared")
        } else if tracksChanges != nil, after.tracksChanges == nil {
            found.append("whether the source tracks what changes was not seen after the test")
        }
        for host in Set(recorded.keys).union(after.recorded.keys).sorted() {
            if let when = when(recorded[host] != nil, after.recorded[host] != nil) {
                found.append("the ownership that host \(host) has recorded was not seen \(when)")
            }
        }
        return found
    }
}
