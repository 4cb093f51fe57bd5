/// Recovery points of several VMs that show one and the same instant: whole for all of them, or no group point.
///
/// While it is kept, each member's point is. A VM keeps the points of its newest `keptOfEachVM` group points beyond what its
/// policy keeps; an older one lasts as long as every member's point does, and goes as a whole.
package struct GroupPoint: SiteObject {
    package static let kind = "group-point"
    /// So many group points hold a VM's points, however few its policy keeps.
    package static let keptOfEachVM = 3
    /// VMs that may be held at once.
    package static let memberLimits = 1...64

    package enum State: String, Codable, Hashable, Sendable {
        /// The VMs are on their way to their common instant.
        case making
        /// The instant is taken, and the points of it are on their way.
        case taken
        case whole
    }

    /// One VM's part.
    package struct Member: Codable, Hashable, Sendable {
        package var relationship: String
        package var vm: String
        /// Of the point that shows the instant; nil until it is taken.
        package var generation: String?
        /// Number of that point; nil until it is whole.
        package var number: Int?

        package init(relationship: String, vm: String) {
            self.relationship = relationship
            self.vm = vm
        }
    }

    package var id: String
    package var name: String
    package var parent: String? { nil }
    package var members: [Member]
    package var state = State.making
    package var consistency = PointConsistency.crash
    /// Why it is crash-consistent where it was to be application-consistent; nil otherwise.
    package var crashReason: String?
    /// An instant at which all guests were held; nil until it is taken.
    package var at: Timestamp?
    /// Seconds from the first call that held a guest to the last that let one go.
    package var heldSeconds: Double?
    /// Seconds within which all the backups began, while nobody wrote.
    package var spreadSeconds: Double?
    /// The run that asked for it, if a script did.
    package var run: String?

    package init(id: String, name: String, members: [Member], run: String?) {
        self.id = id
        self.name = name
        self.members = members
        self.run = run
    }

    package func generation(of relationship: String) -> String? {
        members.first { $0.relationship == relationship }?.generation
    }
}

extension GroupPoint: Checkable {
    package var violations: [FieldViolation] {
        var found = [FieldCheck.name(name, "name")]
        if !Self.memberLimits.contains(members.count) {
            found.append(
                FieldViolation(
                    "vms", given: "\(members.count)",
                    allowed: "\(Self.memberLimits.lowerBound) to \(Self.memberLimits.upperBound)"))
        }
        let names = members.map(\.vm)
        if let twice = names.first(where: { name in names.count { $0 == name } > 1 }) {
            found.append(FieldViolation("vms", given: FieldCheck.shown(twice) + " twice", allowed: "each VM once"))
        }
        return found.compactMap { $0 }
    }
}
