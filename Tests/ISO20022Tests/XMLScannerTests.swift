// What the scanner takes and what it refuses: no entity grows, none fetches, and no file makes it deep, slow or large.
import Testing

@testable import ISO20022

@Suite("XML of banks")
struct XMLScannerTests {
    private func events(_ text: String) throws(BankFileFault) -> [XMLEvent] {
        var scanner = try XMLScanner(Array(text.utf8))
        var events: [XMLEvent] = []
        while true {
            let event = try scanner.next()
            if event == .finished { return events }
            events.append(event)
        }
    }

    private func reason(_ text: String) -> BankFileFault.Reason? {
        do {
            _ = try events(text)
            return nil
        } catch {
            return error.reason
        }
    }

    @Test("Elements, attributes, texts, CDATA, comments and the characters that have names")
    func whole() throws {
        #expect(
            try events("\u{FEFF}<?xml version='1.0' encoding=\"utf-8\" standalone='yes'?><!-- a --><?style x?><a b='1' c=\"&lt;&#65;\"><d/>x&amp;&#x79;<![CDATA[<z>&]]></a>\n")
                == [
                    .start(name: "a", attributes: [XMLAttribute(name: "b", value: "1"), XMLAttribute(name: "c", value: "<A")]),
                    .start(name: "d", attributes: []), .end(name: "d"), .text("x&y"), .text("<z>&"), .end(name: "a"),
                ])
    }

    @Test("A document type is refused, whatever it would do", arguments: [
        #"<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>"#, #"<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>"#,
        #"<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>"#, "<a><!ELEMENT b ANY></a>", "<!doctype html><a/>", "<!D",
    ])
    func documentTypes(text: String) {
        #expect(reason(text) == .documentType)
    }

    @Test("What is not whole is refused", arguments: ["<", "<a", "<a>", "<a b", "<a b='", "<a><b></b>", "<a>text", "<!-- a", "<a><![CDATA[", "<?xml version='1.0'", "<?a", " "])
    func truncated(text: String) {
        #expect(reason(text) == .truncated)
    }

    @Test("What is not well-formed is refused", arguments: [
        "<a></b>", "<a/><b/>", "a<a/>", "<a/>b", "</a>", "<a b/>", "<a b=c/>", "<a b='1' b='2'/>", "<a b='1'c='2'/>", "<a b='<'/>", "<a>&b;</a>", "<a>&</a>", "<a>&#0;</a>",
        "<a>&#x1F;</a>", "<a>&#xD800;</a>", "<a>&#+65;</a>", "<a>]]></a>", "<a><!-- -- --></a>", "<a ?></a>", "<1/>", "< a/>", "<é/>", "<a><?xml version='1.0'?></a>",
        "<?xml version='1.1'?><a/>", "<?xml mode='1'?><a/>",
    ])
    func malformed(text: String) throws {
        let refusal = try #require(reason(text))
        guard case .malformed = refusal else {
            Issue.record("\(text): \(refusal)")
            return
        }
    }

    @Test("Other encodings and characters that XML does not have are refused, with their line")
    func encodings() {
        #expect(reason("<?xml version='1.0' encoding='ISO-8859-1'?><a/>") == .notUTF8)
        for bytes in [[0x3C, 0x61, 0x3E, 0x0A, 0xE9, 0x3C], [0x3C, 0x61, 0x0A, 0x00], [0x3C, 0x0A, 0xED, 0xA0, 0x80], [0x3C, 0x0A, 0x01], [0x0A, 0xFF, 0xFE]] as [[UInt8]] {
            #expect(throws: BankFileFault(line: 2, .notUTF8)) { try XMLScanner(bytes) }
        }
        #expect(throws: BankFileFault(line: 1, .empty)) { try XMLScanner([]) }
    }

    @Test("Depth, texts, names, attributes and the file itself have limits")
    func limits() {
        let deep = String(repeating: "<a>", count: XMLScanner.depthMax) + String(repeating: "</a>", count: XMLScanner.depthMax)
        #expect(reason(deep) == nil)
        #expect(reason("<a>\(deep)</a>") == .tooDeep(XMLScanner.depthMax))
        let long = String(repeating: "x", count: XMLScanner.textBytesMax + 1)
        #expect(reason("<a>\(long)</a>") == .textTooLong(XMLScanner.textBytesMax))
        #expect(reason("<a b='\(long)'/>") == .textTooLong(XMLScanner.textBytesMax))
        #expect(reason("<a><![CDATA[\(long)]]></a>") == .textTooLong(XMLScanner.textBytesMax))
        #expect(reason("<\(String(repeating: "x", count: XMLScanner.nameBytesMax + 1))/>") != nil)
        #expect(reason("<a \((0...XMLScanner.attributesMax).map { "a\($0)=''" }.joined(separator: " "))/>") != nil)
        let large = [UInt8](repeating: UInt8(ascii: " "), count: XMLScanner.documentBytesMax + 1)
        #expect(throws: BankFileFault(line: 1, .tooLarge(bytesMax: XMLScanner.documentBytesMax))) { try XMLScanner(large) }
    }

    @Test("A fault names the line where it is")
    func lines() {
        #expect(throws: BankFileFault(line: 4, .malformed("/c where /b is due"))) { try events("<a>\n<b>\r\n\n</c></a>") }
    }
}
