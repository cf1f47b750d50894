"""M-Pesa's result codes in Kiswahili as it is spoken in Kenya: the table and the next steps of the English one."""

from edge.values.result_words import Words

_TRY_AGAIN = "M-Pesa haikumaliza malipo haya. Hujalipa. Tafadhali jaribu tena baada ya dakika moja."
_UNCLEAR = "M-Pesa imepoteza malipo haya. Kama umepata SMS ya malipo, ionyeshe dukani; kama hujapata, jaribu tena."
_ASK_SHOP = "M-Pesa haikuweza kupokea malipo haya. Hujalipa. Tafadhali mwambie mwenye duka."
_WRONG_PIN = "PIN ya M-Pesa si sahihi. Hujalipa. Tafadhali jaribu tena na uandike PIN yako vizuri."
_CANCELLED = "Ulikatiza malipo, au ujumbe wa malipo ulijifunga. Jaribu tena ukiwa tayari."
_NO_ANSWER = "Simu yako haikujibu. Iwashe na ujaribu tena. Usipopata ujumbe, piga *234*1*6# kwanza."
_WAIT_LINE = "Simu yako iko kwa shughuli nyingine ya M-Pesa. Imalize, subiri dakika mbili, kisha jaribu tena."
_PROMPT = "Ujumbe wa malipo haukutumwa. Ikitokea mara nyingi, fupisha jina la kifurushi."
_NOTHING = "Hakuna la kufanya."
_ACCOUNT = "Akaunti moja ya M-Pesa haifanyi kazi. Kama ni yako, pigia Safaricom."
_NO_ACCOUNT = "M-Pesa haijui akaunti moja. Angalia shortcode na till kwenye [mpesa]."
_SETUP = (
    "M-Pesa haijui till au paybill hii tulivyoiandika. Angalia type, shortcode (ya till: store number) na till "
    "kwenye [mpesa] ndani ya edge.toml."
)

WORDS_SW = {
    "0": Words("Umelipa. Asante.", "Imelipwa."),
    "1": Words(
        "Salio lako la M-Pesa halitoshi. Weka pesa au uchague kifurushi cha bei ndogo, kisha jaribu tena.",
        f"Mteja hakuwa na pesa za kutosha. {_NOTHING}",
    ),
    "2": Words(_ASK_SHOP, "Bei iko chini ya kiwango cha M-Pesa, KSh 1. Pandisha bei ya kifurushi."),
    "3": Words(_ASK_SHOP, "Bei imezidi kiwango cha M-Pesa, KSh 250,000. Punguza bei ya kifurushi."),
    "4": Words(
        "Umefikisha kiwango chako cha M-Pesa cha leo. Jaribu kesho au lipa kwa namba nyingine.",
        f"Mteja amefikisha kiwango cha siku cha M-Pesa. {_NOTHING}",
    ),
    "8": Words(_ASK_SHOP, "Akaunti ya M-Pesa ya duka imejaa. Toa pesa."),
    "11": Words(_ASK_SHOP, _ACCOUNT),
    "12": Words(_ASK_SHOP, _ACCOUNT),
    "13": Words(_ASK_SHOP, _NO_ACCOUNT),
    "14": Words(_ASK_SHOP, _NO_ACCOUNT),
    "17": Words(
        "Umeombwa kulipa kiasi hiki sasa hivi. Subiri dakika mbili, kisha jaribu tena.",
        f"M-Pesa hukubali kiasi kile kile kutoka simu moja mara moja kwa dakika mbili. {_NOTHING}",
    ),
    "26": Words(_TRY_AGAIN, "M-Pesa ilikuwa na shughuli nyingi. Itajirekebisha."),
    "1001": Words(_WAIT_LINE, f"Simu ya mteja ilikuwa kwa shughuli nyingine ya M-Pesa. {_NOTHING}"),
    "1019": Words("Ulichelewa kujibu ujumbe wa malipo. Tafadhali jaribu tena.", "Muda wa ujumbe wa malipo uliisha."),
    "1025": Words(_TRY_AGAIN, _PROMPT),
    "1031": Words(_CANCELLED, "Mteja alikatiza malipo."),
    "1032": Words(_CANCELLED, "Mteja alikatiza malipo, au ujumbe ulijifunga."),
    "1036": Words(_UNCLEAR, f"Jibu la mteja lilipotea kwenye mtandao. {_NOTHING}"),
    "1037": Words(_NO_ANSWER, f"Simu ilikuwa imezimwa, ina shughuli, haikujibiwa, au laini ni ya zamani. {_NOTHING}"),
    "1101": Words(_ASK_SHOP, _PROMPT),
    "1102": Words(_ASK_SHOP, _PROMPT),
    "2001": Words(_WRONG_PIN, f"Mteja aliandika PIN isiyo sahihi. {_NOTHING}"),
    "2006": Words(_ASK_SHOP, "Sheria ya akaunti ya M-Pesa imekataa; huenda akaunti haifanyi kazi. Pigia Safaricom."),
    "2008": Words(_WRONG_PIN, f"PIN ya mteja haikukubaliwa. {_NOTHING}"),
    "2026": Words(_TRY_AGAIN, f"Mawasiliano ya mteja na M-Pesa yalikatika. {_NOTHING}"),
    "2028": Words(_ASK_SHOP, _SETUP),
    "4999": Words("Angalia simu yako na uandike PIN yako ya M-Pesa.", "Bado hakuna jibu. Tunaendelea kuuliza."),
    "8006": Words(
        "PIN yako ya M-Pesa imefungwa. Pigia Safaricom 100 wakufungulie.", f"PIN ya mteja imefungwa. {_NOTHING}"
    ),
    "9999": Words(_UNCLEAR, _PROMPT),
    "SFC_IC0003": Words(_ASK_SHOP, _SETUP),
    "E3008": Words(
        "M-Pesa imekataa kwa sababu ya deni la Fuliza au lingine. Lipa kwa namba nyingine.",
        f"M-Pesa inasema mteja ana deni. {_NOTHING}",
    ),
}

_INITIATOR = "angalia initiator na initiator_password kwenye [mpesa], na certificate_file ya mazingira haya."
_ROLE = "Initiator hana ruhusa: mpe ruhusa kwenye tovuti ya M-Pesa (status, reversal, B2C)."
_BACK_OFF = "M-Pesa ina shughuli nyingi. Tutajaribu tena wenyewe."
_NOT_NOW = "M-Pesa haiwezi kwa sasa. Tafadhali uliza dukani tena baadaye."
_NOT_DONE = "M-Pesa haikuweza kufanya hivi. Duka limejulishwa."
_TURNED_AWAY = "M-Pesa haikupokea malipo haya. Angalia ulichoandika, au uliza dukani."
ORG_WORDS_SW = {
    "0": Words("Tayari.", "Tayari."),
    "1": Words(_NOT_NOW, "Pesa hazitoshi kwenye akaunti ya M-Pesa. Weka pesa kwenye utility account."),
    "2": Words(_NOT_DONE, "Kiasi kiko chini ya kiwango cha M-Pesa: KSh 10 kwa kutuma. Rudisha pesa taslimu."),
    "11": Words(_NOT_DONE, "Akaunti inayolipa haifanyi kazi. Pigia Safaricom."),
    "12": Words(_NOT_DONE, "Akaunti inayopokea haifanyi kazi. Lipa kwa namba nyingine, au pesa taslimu."),
    "13": Words(_NOT_DONE, "M-Pesa haijui akaunti inayolipa. Angalia shortcode kwenye [mpesa]."),
    "14": Words(_NOT_DONE, "M-Pesa haijui akaunti inayopokea. Angalia namba ya simu."),
    "15": Words(_NOT_NOW, "M-Pesa tayari ina ombi hili. Angalia kwenye statement lilivyoisha; usilitume tena."),
    "17": Words(_NOT_NOW, "Kiasi hiki kilitumwa kwa simu hii muda si mrefu. Subiri dakika mbili, kisha jaribu tena."),
    "18": Words(_NOT_DONE, f"M-Pesa haikubali password ya initiator: {_INITIATOR}"),
    "20": Words(_NOT_DONE, f"M-Pesa haimjui initiator: {_INITIATOR}"),
    "21": Words(_NOT_DONE, _ROLE),
    "22": Words(_NOT_DONE, f"{_ROLE} Au hafanyi kazi: angalia hali yake huko."),
    "26": Words(_NOT_NOW, _BACK_OFF),
    "2001": Words(_NOT_DONE, f"M-Pesa haimkubali initiator: {_INITIATOR}"),
    "2006": Words(_NOT_DONE, "Sheria ya akaunti ya M-Pesa imekataa; huenda akaunti haifanyi kazi. Pigia Safaricom."),
    "2028": Words(_NOT_DONE, "Shortcode hii hairuhusiwi kufanya hivyo. Iombe Safaricom iongeze huduma hiyo."),
    "2040": Words(
        "Namba hii haijasajiliwa M-Pesa. Lipe duka namba nyingine.",
        "Namba hii haijasajiliwa M-Pesa: lipa kwa nyingine, au pesa taslimu.",
    ),
    "8006": Words(_NOT_DONE, "Initiator amefungwa. Mfungue kwenye tovuti ya M-Pesa, na badilisha initiator_password."),
    "R000001": Words("Pesa zako zilirudishwa hapo awali.", f"Malipo haya yalirudishwa hapo awali. {_NOTHING}"),
    "R000002": Words(_NOT_DONE, "M-Pesa haioni malipo ya namba hii ya kurudishwa. Linganisha na statement."),
    "C2B00011": Words(_TURNED_AWAY, "Tulikataa malipo: namba ya simu si sahihi."),
    "C2B00012": Words(
        "Namba ya akaunti si sahihi. Iangalie kwenye ukurasa wa WiFi na ulipe tena.",
        "Tulikataa malipo: hakuna anayejua namba hiyo ya akaunti.",
    ),
    "C2B00013": Words(
        "Kiasi si sahihi. Angalia bei kwenye ukurasa wa WiFi na ulipe tena.", "Tulikataa malipo: kiasi si sahihi."
    ),
    "C2B00014": Words(_TURNED_AWAY, "Tulikataa malipo: maelezo ya mlipaji si sahihi."),
    "C2B00015": Words(_TURNED_AWAY, "Tulikataa malipo: yalikuwa ya shortcode nyingine."),
    "C2B00016": Words(_TURNED_AWAY, "Tulikataa malipo. Jarida linaeleza sababu."),
    **{str(code): Words(_NOT_NOW, _BACK_OFF) for code in (*range(100_000_000, 100_000_012), 100_000_100)},
}

UNKNOWN_SW = Words(
    "M-Pesa haijathibitisha malipo haya. Kama umepata SMS ya M-Pesa kwamba umelipa, ionyeshe dukani. "
    "Kama hujapata, jaribu tena baada ya dakika moja.",
    "M-Pesa ilijibu kwa namba {code}, ambayo hatuijui.{told} Linganisha na statement ya M-Pesa kwanza.",
)
