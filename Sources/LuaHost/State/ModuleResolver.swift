/// Finds the text of the modules that scripts `require`.
public protocol ModuleResolver: Sendable {
    /// The module, or nil when there is none of that name.
    ///
    /// The name has been checked: words of letters, digits, `_` and `-`, separated by single dots.
    func module(named name: String) throws -> ModuleSource?
}

/// The text of a module.
public struct ModuleSource: Sendable {
    /// What positions in errors show: the path of the file.
    public let chunk: String
    /// The Lua source text.
    public let source: [UInt8]
    /// Whether the module was written for any Lua, and so may ask for globals that do not exist.
    ///
    /// Such a module reads an unknown global as nil; everywhere else it is an error, as it is a misspelt name.
    public let isForeign: Bool

    /// Makes a module's text.
    public init(chunk: String, source: [UInt8], isForeign: Bool = false) {
        self.chunk = chunk
        self.source = source
        self.isForeign = isForeign
    }
}
