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

    /// Makes a module's text.
    public init(chunk: String, source: [UInt8]) {
        self.chunk = chunk
        self.source = source
    }
}
