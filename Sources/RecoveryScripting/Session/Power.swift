package import LuaHost

/// What a script may do beyond the vault and its sites, when its run was granted it by name.
package enum Power: String, Sendable, CaseIterable {
    /// Lose and return the lab's sites, and read its guests' consoles.
    case lab
    /// Register hosts or change them: where they are, and which command, run as this user, fences them.
    case hosts

    /// Names that scripts may ask for and that this version has nothing behind.
    static let planned = ["exec", "http", "files"]

    /// Reads the names given with `--grant`.
    ///
    /// - Throws: `LuaError` of kind `not-granted` for a name that is no power.
    package static func named(_ names: [String]) throws(LuaError) -> Set<Power> {
        var powers: Set<Power> = []
        for name in names {
            guard let power = Power(rawValue: name) else {
                let known = allCases.map(\.rawValue).joined(separator: ", ")
                throw LuaError(
                    .notGranted, "there is no power '\(name)' to grant", hint: "this version has: \(known)")
            }
            powers.insert(power)
        }
        return powers
    }
}

extension LuaError.Kind {
    /// The run was not granted a power that it asks for.
    package static let notGranted: LuaError.Kind = "not-granted"
}
