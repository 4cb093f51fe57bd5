/// A version as its maker counts it: numbers with dots; what comes after them does not count.
package struct ComponentVersion: Comparable, Hashable, Sendable, CustomStringConvertible {
    let numbers: [Int]

    /// Reads "7.2.22" and the like; nil when the text does not begin with a number.
    package init?(_ text: String) {
        let head = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let numbers = head.split(separator: ".").map { Int($0) }
        guard !numbers.isEmpty, !numbers.contains(nil) else { return nil }
        self.numbers = numbers.compactMap { $0 }
    }

    package init(_ numbers: Int...) { self.numbers = numbers }

    package static func < (a: ComponentVersion, b: ComponentVersion) -> Bool {
        for index in 0..<max(a.numbers.count, b.numbers.count) {
            let (left, right) = (a.number(index), b.number(index))
            if left != right { return left < right }
        }
        return false
    }

    package static func == (a: ComponentVersion, b: ComponentVersion) -> Bool { !(a < b) && !(b < a) }

    package func hash(into hasher: inout Hasher) {
        // "7.2" and "7.2.0" are the same version.
        hasher.combine(numbers.reversed().drop { $0 == 0 }.reversed())
    }

    private func number(_ index: Int) -> Int { index < numbers.count ? numbers[index] : 0 }

    package var description: String { numbers.map(String.init).joined(separator: ".") }
}

/// What is known of the versions of a component: the oldest that can do it, the one tested with, and bad ones.
package struct VersionRule: Sendable {
    /// Versions that must not be used although they are new enough.
    struct KnownBad: Sendable {
        var versions: Range<ComponentVersion>
        var why: String
    }

    let component: String
    let floor: ComponentVersion
    /// Why nothing older will do.
    let floorReason: String
    let tested: ComponentVersion
    let knownBad: [KnownBad]

    /// Incremental backups are on by default from 7.6.0 on.
    static let libvirt = VersionRule(
        component: "libvirt", floor: ComponentVersion(7, 6, 0),
        floorReason: "incremental backups are off by default before it", tested: ComponentVersion(9, 0, 0),
        knownBad: [])

    /// Overlays have extended L2 entries, which QEMU reads from 5.2 on.
    static let qemu = VersionRule(
        component: "QEMU", floor: ComponentVersion(5, 2, 0),
        floorReason: "it cannot read overlays with extended L2 entries", tested: ComponentVersion(7, 2, 0),
        knownBad: [
            KnownBad(
                versions: ComponentVersion(4, 1, 0)..<ComponentVersion(4, 1, 1),
                why: "it damages qcow2 files (mended in 4.1.1)")
        ])

    func judge(_ text: String) -> Judgement {
        guard let version = ComponentVersion(text) else {
            return .warn("the host says '\(text.prefix(40))', which is no version", fix: "look at it by hand")
        }
        let upgrade = "upgrade \(component) at the host to \(tested) or later"
        if let bad = knownBad.first(where: { $0.versions.contains(version) }) {
            return .fail("\(component) \(version): \(bad.why)", fix: upgrade)
        }
        if version < floor {
            return .fail("\(component) \(version) is older than \(floor): \(floorReason)", fix: upgrade)
        }
        if version < tested {
            return .warn(
                "\(component) \(version) is older than \(tested), with which this version was tested", fix: upgrade)
        }
        return .ok("\(component) \(version)")
    }
}
