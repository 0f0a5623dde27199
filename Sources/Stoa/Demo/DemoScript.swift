// Who and what is in the demo city. Only data: names, purposes and their texts in three languages.
import Consent
import Web

/// The cast of the demo city.
enum DemoScript {
    struct Resident: Sendable {
        let username: String
        let name: String
        let language: Language
        /// The register record that the counter links; nil for somebody who has shown nothing yet.
        let nationalNumber: String?
        let hint: String
    }

    static let residents = [
        Resident(
            username: "amina", name: "Amina Wanjiru Odhiambo", language: .english, nationalNumber: "910314970013",
            hint: "resident; bills to pay, data to share, a request to answer"),
        Resident(username: "luc", name: "Luc Ménard", language: .french, nationalNumber: "671102970140", hint: "resident, in French"),
        Resident(username: "layla", name: "ليلى حداد", language: .arabic, nationalNumber: "850723970271", hint: "resident, in Arabic"),
        Resident(
            username: "newcomer", name: "Tomás Ferreira da Costa", language: .english, nationalNumber: nil,
            hint: "made an account, has shown no passport yet (register record 991231970666)"),
    ]

    static let staff: [(username: String, name: String, roles: [StaffRole], hint: String)] = [
        ("clerk", "Cleo Marsh", [.caseworker], "caseworker at the counter: find residents, prove identities, paper forms, prepare benefits"),
        ("approver", "Anselm Okoro", [.approver], "approves what others prepared: a benefit waits"),
        ("finance", "Fatou Sarr", [.financeOfficer, .approver], "finance officer and second approver"),
        ("auditor", "Audrey Lindqvist", [.auditor], "auditor"),
    ]

    /// The town of config/demo/residents.csv.
    static let locality = "Marisport"

    struct Purpose: Sendable {
        let id: String
        let legalBasis: LegalBasis
        let law: String?
        let attributes: [String]
        let title: LocalisedText
        let explanation: LocalisedText
        /// Nil: an agreement lasts until it is withdrawn.
        var validMonths: Int?
        /// How long the organisation keeps what it received, and by which law; nil for one that has not said.
        var retention: LocalisedText?
        var retentionLaw: String?
    }

    struct Organisation: Sendable {
        let id: String
        let kind: String
        let name: LocalisedText
        let purposes: [Purpose]
    }

    private static func text(_ english: String, _ french: String, _ arabic: String) -> LocalisedText {
        LocalisedText([.english: english, .french: french, .arabic: arabic])
    }

    static let organisations = [
        Organisation(
            id: "harbour-clinic", kind: "health", name: text("Harbour Clinic", "Clinique du Port", "عيادة الميناء"),
            purposes: [
                Purpose(
                    id: "treatment", legalBasis: .consent, law: nil, attributes: ["given_names", "family_name", "date_of_birth", "phone"],
                    title: text("Your treatment", "Vos soins", "علاجك"),
                    explanation: text(
                        "The clinic fills in your file without asking you again, and can call you about an appointment.",
                        "La clinique remplit votre dossier sans vous redemander ces données et peut vous appeler pour un rendez-vous.",
                        "تملأ العيادة ملفك دون أن تسألك مرة أخرى، ويمكنها الاتصال بك بشأن موعد."),
                    retention: text(
                        "Your patient file is kept for ten years after the last treatment, also when you stop sharing. Then it is destroyed.",
                        "Votre dossier de patient est conservé dix ans après les derniers soins, même si vous arrêtez le partage. Puis il est détruit.",
                        "يُحتفظ بملفك الطبي عشر سنوات بعد آخر علاج، حتى إذا أوقفت المشاركة. ثم يُتلف."), retentionLaw: "Patient Records Act § 12"),
                Purpose(
                    id: "vaccination-reminders", legalBasis: .consent, law: nil, attributes: ["date_of_birth", "email", "preferred_language"],
                    title: text("Vaccination reminders", "Rappels de vaccination", "تذكير بالتطعيمات"),
                    explanation: text(
                        "The clinic writes to you when a vaccination is due at your age. It does nothing else with the data.",
                        "La clinique vous écrit quand un vaccin est recommandé à votre âge. Elle ne fait rien d’autre de ces données.",
                        "تراسلك العيادة عندما يحين موعد تطعيم مناسب لعمرك، ولا تستخدم البيانات لأي شيء آخر."),
                    retention: text(
                        "Nothing is kept after you stop: the clinic deletes it within 30 days.",
                        "Rien n’est conservé après l’arrêt : la clinique efface tout dans les 30 jours.",
                        "لا يُحتفظ بشيء بعد الإيقاف: تحذف العيادة كل شيء خلال 30 يومًا.")),
            ]),
        Organisation(
            id: "quay-bank", kind: "bank", name: text("Quay Savings Bank", "Caisse d’épargne du Quai", "بنك الرصيف للادخار"),
            purposes: [
                Purpose(
                    id: "open-account", legalBasis: .consent, law: nil,
                    attributes: ["given_names", "family_name", "date_of_birth", "street", "postcode", "locality"],
                    title: text("Opening an account", "Ouverture d’un compte", "فتح حساب"),
                    explanation: text(
                        "The bank takes your name, date of birth and address from here, so that you need no copies of papers.",
                        "La banque prend ici votre nom, votre date de naissance et votre adresse ; vous n’avez pas besoin de copies de papiers.",
                        "يأخذ البنك اسمك وتاريخ ميلادك وعنوانك من هنا، فلا تحتاج إلى نسخ من الأوراق."),
                    retention: text(
                        "The bank must keep what it knows of a customer for five years after the account is closed.",
                        "La banque doit conserver ce qu’elle sait d’un client pendant cinq ans après la clôture du compte.",
                        "يجب على البنك الاحتفاظ بما يعرفه عن العميل خمس سنوات بعد إغلاق الحساب."), retentionLaw: "Money Laundering Act § 8")
            ]),
        Organisation(
            id: "housing-office", kind: "city_office", name: text("Housing Office", "Office du logement", "مكتب الإسكان"),
            purposes: [
                Purpose(
                    id: "rent-allowance", legalBasis: .publicTask, law: "Housing Act § 14",
                    attributes: ["given_names", "family_name", "date_of_birth", "street", "postcode", "locality"],
                    title: text("Rent allowance", "Allocation de logement", "إعانة الإيجار"),
                    explanation: text(
                        "The office checks who lives where before it pays an allowance. The law lets it do so without asking you.",
                        "L’office vérifie qui habite où avant de verser une allocation. La loi l’y autorise sans vous le demander.",
                        "يتحقق المكتب ممن يسكن أين قبل دفع الإعانة. ويسمح له القانون بذلك دون سؤالك."),
                    retention: text(
                        "The file is kept for six years after the last payment.",
                        "Le dossier est conservé six ans après le dernier versement.",
                        "يُحتفظ بالملف ست سنوات بعد آخر دفعة."), retentionLaw: "Housing Act § 31"),
                Purpose(
                    id: "tenant-survey", legalBasis: .consent, law: nil, attributes: ["email", "preferred_language"],
                    title: text("Survey of tenants", "Enquête auprès des locataires", "استبيان المستأجرين"),
                    explanation: text(
                        "The office asks once a year how you live. Taking part changes nothing about your allowance.",
                        "L’office demande une fois par an comment vous êtes logé. Participer ne change rien à votre allocation.",
                        "يسألك المكتب مرة في السنة عن سكنك. ولا تؤثر المشاركة في إعانتك.")),
            ]),
        Organisation(
            id: "city-library", kind: "city_office", name: text("City Library", "Bibliothèque municipale", "مكتبة المدينة"),
            purposes: [
                Purpose(
                    id: "library-card", legalBasis: .consent, law: nil, attributes: ["given_names", "family_name", "lives_in_city"],
                    title: text("Library card", "Carte de bibliothèque", "بطاقة المكتبة"),
                    explanation: text(
                        "The library prints your card and knows that you live in the city, not where.",
                        "La bibliothèque imprime votre carte et sait que vous habitez la ville, sans savoir où.",
                        "تطبع المكتبة بطاقتك وتعرف أنك تسكن في المدينة، دون أن تعرف أين."),
                    validMonths: 12)
            ]),
        Organisation(
            id: "lantern-cinema", kind: "retailer", name: text("Lantern Cinema", "Cinéma La Lanterne", "سينما الفانوس"),
            purposes: [
                Purpose(
                    id: "films-for-adults", legalBasis: .consent, law: nil, attributes: ["is_over_18"],
                    title: text("Films for adults", "Films pour adultes", "أفلام للكبار"),
                    explanation: text(
                        "When you buy a ticket, the cinema learns whether you are 18 or over. It learns neither your age nor your date of birth.",
                        "Quand vous achetez un billet, le cinéma apprend si vous avez 18 ans ou plus. Il n’apprend ni votre âge ni votre date de naissance.",
                        "عندما تشتري تذكرة، تعرف السينما هل بلغت 18 عامًا أو أكثر. ولا تعرف عمرك ولا تاريخ ميلادك."))
            ]),
    ]
}
