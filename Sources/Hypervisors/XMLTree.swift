internal import Foundation

#if canImport(FoundationXML)
internal import FoundationXML
#endif

/// An XML element as a value: parsed from text, edited, written back.
///
/// libvirt's XML needs no more than elements, attributes and text. Comments and processing instructions are dropped,
/// as libvirt itself drops them. Attributes are written in alphabetical order, so equal trees are equal texts.
struct XMLTree: Hashable, Sendable {
    enum Node: Hashable, Sendable {
        case element(XMLTree)
        case text(String)
    }

    /// Name with its prefix, as written.
    var name: String
    var attributes: [String: String]
    var nodes: [Node]

    init(_ name: String, _ attributes: [String: String] = [:], _ children: [XMLTree] = []) {
        self.name = name
        self.attributes = attributes
        nodes = children.map { .element($0) }
    }

    init(_ name: String, text: String) {
        self.init(name)
        nodes = [.text(text)]
    }

    // MARK: Reading

    var children: [XMLTree] {
        nodes.compactMap { if case .element(let child) = $0 { child } else { nil } }
    }

    /// The element's own text, without that of its children.
    var text: String {
        nodes.reduce(into: "") { all, node in if case .text(let part) = node { all += part } }
    }

    func child(_ name: String) -> XMLTree? { children.first { $0.name == name } }
    func children(_ name: String) -> [XMLTree] { children.filter { $0.name == name } }

    // MARK: Editing

    /// Edits the first child of that name; makes one when there is none.
    mutating func edit(_ name: String, _ body: (inout XMLTree) throws -> Void) rethrows {
        for index in nodes.indices {
            guard case .element(var child) = nodes[index], child.name == name else { continue }
            try body(&child)
            nodes[index] = .element(child)
            return
        }
        var child = XMLTree(name)
        try body(&child)
        nodes.append(.element(child))
    }

    /// Edits each child element in place.
    mutating func editChildren(_ body: (inout XMLTree) throws -> Void) rethrows {
        for index in nodes.indices {
            guard case .element(var child) = nodes[index] else { continue }
            try body(&child)
            nodes[index] = .element(child)
        }
    }

    mutating func remove(where matches: (XMLTree) -> Bool) {
        nodes.removeAll { if case .element(let child) = $0 { matches(child) } else { false } }
    }

    mutating func remove(_ name: String) { remove { $0.name == name } }
    mutating func append(_ child: XMLTree) { nodes.append(.element(child)) }

    // MARK: Writing

    /// The element as text, indented by two spaces a level.
    func serialised(indent: Int = 0) -> String {
        let pad = String(repeating: "  ", count: indent)
        var line = pad + "<" + name
        for (key, value) in attributes.sorted(by: { $0.key < $1.key }) {
            line += " \(key)='\(Self.escape(value, attribute: true))'"
        }
        if nodes.isEmpty { return line + "/>\n" }
        let children = self.children
        if children.count == nodes.count {
            return line + ">\n" + children.map { $0.serialised(indent: indent + 1) }.joined() + pad + "</\(name)>\n"
        }
        // Text stands here: white space is content, nothing may be added.
        return line + ">" + nodes.map(\.inline).joined() + "</\(name)>\n"
    }

    fileprivate var inline: String {
        let attributes = attributes.sorted { $0.key < $1.key }
            .map { " \($0.key)='\(Self.escape($0.value, attribute: true))'" }.joined()
        return "<\(name)\(attributes)>" + nodes.map(\.inline).joined() + "</\(name)>"
    }

    /// Replaces what has a meaning in XML; characters that XML cannot hold at all become U+FFFD (callers that take
    /// values from outside refuse them first with `checked`).
    static func escape(_ value: String, attribute: Bool) -> String {
        var out = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "'" where attribute: out += "&apos;"
            case "\"" where attribute: out += "&quot;"
            // A parser turns raw line breaks in attributes into blanks.
            case "\n" where attribute: out += "&#10;"
            case "\t" where attribute: out += "&#9;"
            case "\r": out += "&#13;"
            default: out.unicodeScalars.append(isAllowed(scalar) ? scalar : "\u{FFFD}")
            }
        }
        return out
    }

    /// The value itself when XML can hold it.
    static func checked(_ value: String, _ what: String) throws -> String {
        guard value.unicodeScalars.allSatisfy(isAllowed) else {
            throw HypervisorError(
                .invalidDefinition, "\(what) holds a control character", hint: "remove the control character")
        }
        return value
    }

    /// XML 1.0, production 2 (Char).
    private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x9, 0xA, 0xD, 0x20...0xD7FF, 0xE000...0xFFFD, 0x10000...0x10FFFF: true
        default: false
        }
    }
}

extension XMLTree.Node {
    fileprivate var inline: String {
        switch self {
        case .element(let child): child.inline
        case .text(let text): XMLTree.escape(text, attribute: false)
        }
    }
}

// MARK: - Parsing

extension XMLTree {
    /// More than any real domain; a limit for what comes from outside.
    static let maximumBytes = 1 << 20
    private static let maximumDepth = 64

    /// Parses a document.
    ///
    /// Refused are texts over 1 MiB and any document type declaration: so there are no entities
    /// to expand and nothing outside to load.
    init(parsing xml: String) throws {
        guard xml.utf8.count <= Self.maximumBytes else {
            throw Self.invalid("it is longer than 1 MiB")
        }
        // The text is UTF-8 already; a declared encoding could make the parser read it as something else.
        var body = Substring(xml.drop { $0.isWhitespace })
        if body.hasPrefix("<?xml") {
            guard let end = body.range(of: "?>") else { throw Self.invalid("its XML declaration does not end") }
            body = body[end.upperBound...]
        }
        guard !body.contains("<!DOCTYPE") else { throw Self.invalid("it declares a document type") }

        let parser = XMLParser(data: Data(body.utf8))
        parser.shouldProcessNamespaces = false
        parser.shouldResolveExternalEntities = false
        let builder = Builder(maximumDepth: Self.maximumDepth)
        parser.delegate = builder
        let parsed = parser.parse()
        guard !builder.isTooDeep else { throw Self.invalid("it is nested deeper than \(Self.maximumDepth) levels") }
        guard parsed, let root = builder.root else {
            throw Self.invalid("line \(parser.lineNumber) is not well-formed")
        }
        self = root
    }

    private static func invalid(_ why: String) -> HypervisorError {
        HypervisorError(.invalidDefinition, "the XML cannot be read: \(why)", hint: "correct the XML and try again")
    }

    /// Collects the parser's events into a tree.
    private final class Builder: NSObject, XMLParserDelegate {
        private let maximumDepth: Int
        private var open: [XMLTree] = []
        private(set) var root: XMLTree?
        private(set) var isTooDeep = false

        init(maximumDepth: Int) { self.maximumDepth = maximumDepth }

        func parser(
            _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
            attributes: [String: String]
        ) {
            if open.count >= maximumDepth {
                isTooDeep = true
                parser.abortParsing()
            }
            open.append(XMLTree(name, attributes))
        }

        func parser(_ parser: XMLParser, foundCharacters string: String) { add(string) }

        func parser(_ parser: XMLParser, foundCDATA block: Data) { add(String(decoding: block, as: UTF8.self)) }

        func parser(
            _ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?
        ) {
            guard var element = open.popLast() else { return }
            // White space between elements is layout, not content.
            let hasElements = !element.children.isEmpty
            let isBlank = element.text.allSatisfy(\.isWhitespace)
            if hasElements && isBlank { element.nodes.removeAll { if case .text = $0 { true } else { false } } }
            if open.isEmpty {
                root = element
            } else {
                open[open.count - 1].append(element)
            }
        }

        private func add(_ string: String) {
            guard !open.isEmpty else { return }
            let top = open.count - 1
            if case .text(let before)? = open[top].nodes.last {
                open[top].nodes[open[top].nodes.count - 1] = .text(before + string)
            } else {
                open[top].nodes.append(.text(string))
            }
        }
    }
}
